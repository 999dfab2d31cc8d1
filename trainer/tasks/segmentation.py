"""Semantic segmentation: pictures and masks -> a segmenter -> label_map[S, S] of label ids.

Legend: B pictures of a batch, S the input's height and width, s the logits', K labels.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel

from contract.label_maps import resize_label_map
from contract.model_config import LABELS_FILE, Json, TensorSpec
from contract.pictures import Picture, decode_picture
from trainer.batch_size import CPU_BATCH_SIZE, largest_batch, training_step
from trainer.datasets.dataset import TRAIN, Dataset, Sample
from trainer.datasets.segmentation_folder import read_segmentation_folder, read_segmentation_split
from trainer.hardware import Hardware
from trainer.masks import IGNORED_ID, ignored_id, mask_of
from trainer.normalization import normalize, to_unit
from trainer.overlays import overlay, side_by_side
from trainer.pictures import Item, View, Whole
from trainer.pixel_loss import enlarge
from trainer.pixel_size import PixelSize, sides
from trainer.scaled_crops import Scaled
from trainer.segmentation_batch import eval_batch, train_batch
from trainer.segmentation_hyperparameters import SegmentationHyperparameters
from trainer.segmentation_metric import LABEL_MAP, SegmentationMetric
from trainer.segmenters import FAMILY, build_segmenter, output_stride
from trainer.tasks import TaskName
from trainer.tasks.task import LOSS, Batch, Losses, Metric, Outputs, Task
from trainer.weights import load_checkpoint

LOGITS: Final = "logits"

# What a logit may be off, of the largest one. Two ResNet-50s of random norms differ by 1.2e-4 in torch
# and onnxruntime, and each from the same in float64; a wrong graph is off by the largest itself.
_ROUNDING: Final = 1e-3
_PROBED_LABELS: Final = 150  # as ADE20K has; their enlarged logits take much of a step's memory

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SemanticSegmentation(Task):
    """One label a pixel."""

    wanted: SegmentationHyperparameters = field(default_factory=SegmentationHyperparameters)

    name: ClassVar[TaskName] = "semantic-segmentation"
    main_metric: ClassVar[str] = "mean_iou"
    head: ClassVar[tuple[str, ...]] = FAMILY.head

    def read(self, data: Path) -> Dataset:
        """Read DIR/{train,validation,test}/{split}.json and DIR/resources/id2lable.json."""
        return read_segmentation_folder(data)

    def read_split(self, data: Path, split: str, labels: Sequence[str]) -> Dataset:
        """Read DIR/{split}/{split}.json."""
        return read_segmentation_split(data, split, labels)

    def faults(self, dataset: Dataset) -> list[str]:
        """A line where nothing is left to train on: each pixel of each mask is ignored."""
        if any(mask_of(sample).teaches() for sample in dataset.splits[TRAIN]):
            return []
        return [
            f"{dataset.root / TRAIN}: each pixel of each usable mask is {IGNORED_ID}, which is "
            "ignored; expected at least one of a label"
        ]

    def batch_size(self, hardware: Hardware) -> int:
        """As it is asked for; 0 becomes the largest that fits, on a CPU 4."""
        if self.wanted.per_device_train_batch_size > 0:
            return self.wanted.per_device_train_batch_size
        on_cpu = hardware.device == "cpu"
        size = CPU_BATCH_SIZE if on_cpu else _largest_batch(self.wanted, hardware)
        logger.info("event=batch_size device=%s found=%d", hardware.device, size)
        return size

    def build_model(self, labels: Sequence[str]) -> PreTrainedModel:
        """A SegFormer, FCN, PSPNet or DeepLabV3 with one output for each label."""
        return build_segmenter(self.wanted, labels)

    def load_model(self, folder: Path) -> PreTrainedModel:
        """The fp32 model of a checkpoint folder."""
        return load_checkpoint(FAMILY, folder)

    def train_view(self) -> View:
        """The whole picture: at the input's size, or, to be cropped, at a random scale."""
        if self.wanted.crop_size:
            return Scaled(self.wanted.base_size, self.wanted.seed)
        return Whole(self.wanted.input_size, self.wanted.input_size, self.fit)

    def collate_train(self, items: Sequence[Item]) -> Batch:
        """pixel_values[B, 3, S, S] and labels[B, S, S], some mirrored; S may be `crop_size`."""
        return train_batch(items, self.wanted)

    def collate_eval(self, items: Sequence[Item]) -> Batch:
        """pixel_values[B, 3, S, S] and labels[B, S, S]."""
        return eval_batch(items)

    def evaluate_batch(self, model: nn.Module, batch: Batch) -> tuple[Losses, Outputs]:
        """The cross-entropy, and label_map[B, S, S]."""
        result = model(**batch)
        label_map = to_label_map(result.logits.float(), batch["labels"].shape[-1])
        return {LOSS: result.loss}, {LABEL_MAP: label_map.cpu().numpy()}

    def metric(self, labels: Sequence[str]) -> Metric:
        """Accuracy and intersection over union, of each label and on average."""
        return SegmentationMetric(labels)

    def illustrate(
        self, outputs: Outputs, sample: Sample, labels: Sequence[str]
    ) -> NDArray[np.uint8] | None:
        """The picture [S, 2 S + 4, 3] under the predicted and under the true ids."""
        (label_map,) = outputs[LABEL_MAP]
        size = len(label_map)
        pixels = decode_picture(sample.path.read_bytes(), size, size, fit=self.fit).pixels
        mask = resize_label_map(mask_of(sample).read(), size, size)
        truth = overlay(pixels, mask, mask != ignored_id(labels))
        return side_by_side(overlay(pixels, label_map), truth)

    def serving_module(self, model: PreTrainedModel) -> nn.Module:
        """Uint8 image[B, S, S, 3] -> label_map[B, S, S], logits[B, K, s, s]."""
        return _LabelMap(model)

    def tensors(
        self, model: PreTrainedModel, input_size: PixelSize, labels: Sequence[str]
    ) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """`image` UINT8 [S, S, 3]; `label_map` [S, S], and `logits` FP32 [K, s, s]."""
        height, width = sides(input_size)
        image = TensorSpec("image", "UINT8", (height, width, 3))
        datatype = "UINT8" if id_type(len(labels)) is torch.uint8 else "INT32"
        label_map = TensorSpec(LABEL_MAP, datatype, (height, width), LABELS_FILE)
        stride = output_stride(model)
        logits = TensorSpec(LOGITS, "FP32", (len(labels), height // stride, width // stride))
        return (image,), (label_map, logits)

    def align(self, ours: Outputs, reference: Outputs) -> Outputs:
        """`ours` with the reference's logits and ids where rounding alone makes them differ.

        It does for an id whose logit in the reference is the largest but for rounding.
        """
        expected, logits = reference[LABEL_MAP], reference[LOGITS]
        if ours[LABEL_MAP].shape != expected.shape or ours[LOGITS].shape != logits.shape:
            return ours
        rounding = _ROUNDING * max(1.0, float(np.abs(logits).max()))
        near = np.abs(ours[LOGITS] - logits) <= rounding
        equal = _largest_but_for(rounding, ours[LABEL_MAP], logits)
        return {
            **ours,
            LABEL_MAP: np.where(equal, expected, ours[LABEL_MAP]),
            LOGITS: np.where(near, logits, ours[LOGITS]),
        }

    def parse_predictions(
        self, predictions: Sequence[Json], labels: Sequence[str], _pictures: Sequence[Picture]
    ) -> Outputs:
        """label_map[N, S, S] from N lists of rows of ids."""
        return {LABEL_MAP: np.stack([_rows_of_ids(one, len(labels)) for one in predictions])}


TASK: Final[Task] = SemanticSegmentation()


def to_label_map(logits: Tensor, size: int) -> Tensor:
    """logits[B, K, h, w] -> the id of the largest one, [B, size, size], of equal ones the first."""
    return enlarge(logits, size).argmax(dim=1).to(id_type(logits.shape[1]))


def id_type(labels: int) -> torch.dtype:
    """The numbers of a label map: uint8, or int32 past 256 labels."""
    return torch.uint8 if labels <= 256 else torch.int32


class _LabelMap(nn.Module):
    """A segmenter with normalisation before, and enlargement and choice behind it."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """RGB uint8 image[B, S, S, 3] -> (label_map[B, S, S], logits[B, K, s, s])."""
        logits = self.model(pixel_values=normalize(to_unit(image))).logits
        return to_label_map(logits, image.shape[1]), logits


def _largest_but_for(
    rounding: float, label_map: NDArray[Any], logits: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Where the ids [B, S, S] have the largest of logits[B, K, s, s], or nearly, [B, S, S]."""
    enlarged = enlarge(torch.from_numpy(logits), label_map.shape[-1]).numpy()
    chosen = np.take_along_axis(enlarged, label_map[:, None].astype(np.int64), axis=1)[:, 0]
    nearly: NDArray[np.bool_] = enlarged.max(axis=1) - chosen <= rounding
    return nearly


def _largest_batch(wanted: SegmentationHyperparameters, hardware: Hardware) -> int:
    """What fits this process's GPU with _PROBED_LABELS, since the labels are not known yet."""
    model = build_segmenter(wanted, [str(index) for index in range(_PROBED_LABELS)])
    nn.Module.cuda(model).train()
    size = wanted.crop_size or wanted.input_size

    def make_batch(count: int) -> Batch:
        return {
            "pixel_values": torch.zeros(count, 3, size, size, device="cuda"),
            "labels": torch.zeros(count, size, size, dtype=torch.int64, device="cuda"),
        }

    precisions = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    return largest_batch(training_step(model, make_batch, precisions[hardware.precision]))


def _rows_of_ids(prediction: Json, labels: int) -> NDArray[np.integer]:
    """[S, S] from rows of ids below `labels`; ValueError where it is something else."""
    try:
        rows = np.asarray(prediction)
    except ValueError as err:
        raise ValueError("rows of several lengths instead of a label map") from err
    if rows.ndim != 2 or rows.dtype.kind != "i" or rows.min() < 0 or rows.max() >= labels:
        raise ValueError(f"{str(prediction)[:60]!r} instead of rows of ids below {labels}")
    return rows
