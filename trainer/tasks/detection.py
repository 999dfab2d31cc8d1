"""Object detection: pictures and boxes -> a detector -> boxes, scores and labels of Q queries.

Legend: B pictures of a batch, S side of the padded square, Q queries, K labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from contract.model_config import LABELS_FILE, Json, TensorSpec
from contract.pictures import Fit, Picture
from trainer.box_drawing import draw_boxes
from trainer.datasets.coco import read_coco, read_coco_split
from trainer.datasets.coco_objects import objects_of
from trainer.datasets.dataset import TRAIN, Dataset, Sample
from trainer.detection_align import align_detections
from trainer.detection_batch import eval_batch, train_batch
from trainer.detection_hyperparameters import DetectionHyperparameters
from trainer.detection_losses import loss_parts
from trainer.detection_metric import BOXES, LABELS, SCORES, CocoMetric
from trainer.detector_export import ServedDetector, detections
from trainer.detectors import FAMILY, build_detector
from trainer.pictures import Item, View, Whole
from trainer.pixel_size import PixelSize, sides
from trainer.tasks import TaskName
from trainer.tasks.task import LOSS, Batch, Inputs, Losses, Metric, Outputs, Task
from trainer.weights import load_checkpoint

IMAGE: Final = "image"
SIZE: Final = "size"


@dataclass(frozen=True)
class ObjectDetection(Task):
    """Any number of labelled boxes a picture."""

    wanted: DetectionHyperparameters = field(default_factory=DetectionHyperparameters)

    name: ClassVar[TaskName] = "object-detection"
    main_metric: ClassVar[str] = "map"
    head: ClassVar[tuple[str, ...]] = FAMILY.head
    fit: ClassVar[Fit] = "pad"
    request_parameters: ClassVar[Mapping[str, Json]] = MappingProxyType(
        {"threshold": 0, "scores": True, "round": False}
    )

    def read(self, data: Path) -> Dataset:
        """Read DIR/{train,validation,test}/_annotations.coco.json."""
        return read_coco(data)

    def read_split(self, data: Path, split: str, labels: Sequence[str]) -> Dataset:
        """Read DIR/{split}/_annotations.coco.json."""
        return read_coco_split(data, split, labels)

    def faults(self, dataset: Dataset) -> list[str]:
        """A line where no object is left to train on; a label without any is only warned of."""
        if any(
            not instance.crowd
            for sample in dataset.splits[TRAIN]
            for instance in objects_of(sample).instances
        ):
            return []
        return [f"{dataset.folder_of(TRAIN)}: no usable picture shows an annotated object"]

    def build_model(self, labels: Sequence[str]) -> PreTrainedModel:
        """A detector of the labels."""
        return build_detector(self.wanted, labels)

    def load_model(self, folder: Path) -> PreTrainedModel:
        """The fp32 detector of a checkpoint folder."""
        return load_checkpoint(FAMILY, folder)

    def train_view(self) -> View:
        """The whole picture in the padded square."""
        return Whole(self.wanted.input_size, self.wanted.input_size, self.fit)

    def collate_train(self, items: Sequence[Item]) -> Batch:
        """pixel_values[B, 3, S, S], pixel_mask[B, S, S] and labels, changed at random."""
        return train_batch(items, self.wanted.augmentation, self.wanted.seed)

    def collate_eval(self, items: Sequence[Item]) -> Batch:
        """pixel_values[B, 3, S, S], pixel_mask[B, S, S], labels and size[B, 2]."""
        return eval_batch(items)

    def evaluate_batch(self, model: nn.Module, batch: Batch) -> tuple[Losses, Outputs]:
        """The model's own loss and its two parts, and the exported graph's outputs."""
        size: Tensor = batch["size"]
        result = model(**{name: value for name, value in batch.items() if name != "size"})
        side = batch["pixel_values"].shape[-1]
        outputs = detections(model, result.logits.float(), result.pred_boxes.float(), size, side)
        losses = {LOSS: result.loss, **loss_parts(_config_of(model), result.loss_dict)}
        return losses, {
            name: output.cpu().numpy()
            for name, output in zip((BOXES, SCORES, LABELS), outputs, strict=True)
        }

    def metric(self, labels: Sequence[str]) -> Metric:
        """COCO's mean average precision."""
        return CocoMetric(labels)

    def illustrate(
        self, outputs: Outputs, sample: Sample, labels: Sequence[str]
    ) -> NDArray[np.uint8] | None:
        """The boxes that are found beside those that are annotated."""
        return draw_boxes(outputs, sample, labels)

    def prepare(self, picture: Picture) -> Inputs:
        """`image`, RGB uint8 [S, S, 3], and `size`, the height and width within it."""
        size = np.array([picture.content_height, picture.content_width], np.int32)
        return {IMAGE: picture.pixels, SIZE: size}

    def serving_module(self, model: PreTrainedModel) -> nn.Module:
        """Uint8 image[B, S, S, 3], int32 size[B, 2] -> boxes[B, Q, 4], scores and labels[B, Q]."""
        return ServedDetector(model)

    def tensors(
        self, model: PreTrainedModel, input_size: PixelSize, labels: Sequence[str]
    ) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """`image` UINT8 [S, S, 3], `size` INT32 [2] -> `boxes` FP32 [Q, 4], `scores`, `labels`."""
        image = TensorSpec(IMAGE, "UINT8", (*sides(input_size), 3))
        queries: int = model.config.num_queries
        boxes = TensorSpec(BOXES, "FP32", (queries, 4))
        found = TensorSpec(LABELS, "INT32", (queries,), label_filename=LABELS_FILE)
        return (image, TensorSpec(SIZE, "INT32", (2,))), (
            boxes,
            TensorSpec(SCORES, "FP32", (queries,)),
            found,
        )

    def align(self, ours: Outputs, reference: Outputs) -> Outputs:
        """In the reference's order, which rounding may change."""
        return align_detections(ours, reference)

    def parameters(self) -> Mapping[str, str]:
        """The threshold of an answer."""
        return {"threshold": repr(self.wanted.threshold)}

    def parse_predictions(
        self, predictions: Sequence[Json], labels: Sequence[str], pictures: Sequence[Picture]
    ) -> Outputs:
        """Outputs from N lists of {label: box, "score"}; a score of 0 fills the shorter ones up."""
        rows = [
            [_parsed(entry, labels, picture) for entry in _entries(prediction)]
            for prediction, picture in zip(predictions, pictures, strict=True)
        ]
        table = np.zeros((len(rows), max(map(len, rows), default=0), 6), np.float64)
        for index, row in enumerate(rows):
            table[index, : len(row)] = np.array(row).reshape(-1, 6)
        return {
            BOXES: table[..., :4],
            SCORES: table[..., 4],
            LABELS: table[..., 5].astype(np.int32),
        }


TASK: Final[Task] = ObjectDetection()


def _entries(prediction: Json) -> list[Json]:
    if not isinstance(prediction, list):
        kind = type(prediction).__name__
        raise ValueError(f"{kind} instead of a list")  # noqa: TRY004 - a bad answer, not a bad call
    return prediction


def _parsed(entry: Json, labels: Sequence[str], picture: Picture) -> tuple[float, ...]:
    """Left, top, right, bottom in [0, 1], score and class index of one object."""
    match entry:
        case {"score": float() | int() as score, **rest} if len(rest) == 1:
            (label, box), *_ = rest.items()
        case _:
            raise ValueError(f"{entry!r} instead of a box and its score")
    match box:
        case {
            "xmin": float() | int() as left,
            "ymin": float() | int() as top,
            "xmax": float() | int() as right,
            "ymax": float() | int() as bottom,
        } if label in labels:
            width, height = picture.width, picture.height
            corners = left / width, top / height, right / width, bottom / height
            return *corners, float(score), float(labels.index(label))
        case _:
            raise ValueError(f"{entry!r} instead of a box of one of {', '.join(labels)}")


def _config_of(model: nn.Module) -> PreTrainedConfig:
    assert isinstance(model, PreTrainedModel)  # noqa: S101 - what build_model gives
    config: PreTrainedConfig = model.config
    return config
