"""Image classification: label folders -> ResNet -> scores[B, K] in [0, 1].

label_metrics.py says what the metrics are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput

from contract.model_config import LABELS_FILE, Json, TensorSpec
from contract.pictures import Picture
from trainer.augment import augment, canvas_size
from trainer.classification_hyperparameters import ClassificationHyperparameters
from trainer.crops import Crop, smaller_than
from trainer.datasets.dataset import TRAIN, Dataset, Sample
from trainer.datasets.image_folder import read_image_folder, read_image_split
from trainer.label_metrics import SCORES, LabelMetric, index_of, indices_of
from trainer.normalization import normalize, to_unit
from trainer.pictures import Item, View, Whole, stack
from trainer.pixel_size import PixelSize, sides
from trainer.resnet import FAMILY, NO_LABEL, build_resnet, is_multi_label, multi_hot
from trainer.tasks import TaskName
from trainer.tasks.task import LOSS, PRODUCTS, Batch, Losses, Metric, Outputs, Task
from trainer.weights import load_checkpoint


@dataclass(frozen=True)
class ImageClassification(Task):
    """One label a picture, or any number, as the dataset's targets say."""

    wanted: ClassificationHyperparameters = field(default_factory=ClassificationHyperparameters)

    name: ClassVar[TaskName] = "image-classification"
    main_metric: ClassVar[str] = "accuracy"
    head: ClassVar[tuple[str, ...]] = FAMILY.head
    # Between a ResNet's convolutions these leave int8 as it is; elsewhere additions are those of boxes.
    quantised: ClassVar[tuple[str, ...]] = (*PRODUCTS, "Add", "GlobalAveragePool", "MaxPool")

    def read(self, data: Path) -> Dataset:
        """Read DIR/{train,validation,test}/{label}/picture."""
        dataset = read_image_folder(data)
        return _with_sets(dataset) if self.wanted.multi_label else dataset

    def read_split(self, data: Path, split: str, labels: Sequence[str]) -> Dataset:
        """Read DIR/{split}/{label}/picture."""
        return read_image_split(data, split, labels)

    def faults(self, dataset: Dataset) -> list[str]:
        """The labels that have no training picture left; the pictures too small to crop."""
        samples = dataset.splits[TRAIN]
        small: list[str] = []
        if self.wanted.crops and not self.wanted.resize:
            small = smaller_than(samples, *sides(self.wanted.size))
        if self.wanted.multi_label:
            if any(sample.target for sample in samples):
                return small
            return [*small, f"{dataset.root / TRAIN}: no usable picture has a label"]
        if dataset.declared:  # the labels are not what the pictures show
            return small
        trained = {sample.target for sample in samples}
        return small + [
            f"{dataset.root / TRAIN / label}: no usable picture is left of this label"
            for index, label in enumerate(dataset.labels)
            if index not in trained
        ]

    def build_model(self, labels: Sequence[str]) -> PreTrainedModel:
        """A ResNet with one output for each label."""
        return build_resnet(self.wanted, labels)

    def load_model(self, folder: Path) -> PreTrainedModel:
        """The fp32 ResNet of a checkpoint folder."""
        return load_checkpoint(FAMILY, folder)

    def begin(self, model: PreTrainedModel, dataset: Dataset) -> None:
        """The weights of the labels' pictures, if the training asks for them."""
        if self.wanted.use_weighted_loss:
            weights = positive_weights(dataset.splits[TRAIN], len(dataset.labels))
            model.positive_weights = weights

    def train_view(self) -> View:
        """The whole picture at the size of the augmentation's canvas, or a part of it."""
        wanted = self.wanted
        if wanted.crops:
            seed = None if wanted.augmentation == "none" else wanted.seed
            return Crop(*sides(wanted.size), wanted.resize, seed)
        height, width = (canvas_size(wanted.augmentation, side) for side in sides(wanted.size))
        return Whole(height, width, self.fit)

    def collate_train(self, items: Sequence[Item]) -> Batch:
        """pixel_values[B, 3, H, W], augmented, and labels[B]."""
        wanted = self.wanted
        seed = [wanted.seed, *(item.key for item in items)]
        pixels = augment(stack(items), wanted.augmentation, wanted.size, seed, cropped=wanted.crops)
        return {"pixel_values": pixels, "labels": _targets(items)}

    def collate_eval(self, items: Sequence[Item]) -> Batch:
        """pixel_values[B, 3, H, W] and labels[B]."""
        return {"pixel_values": normalize(to_unit(stack(items))), "labels": _targets(items)}

    def measure_step(self, outputs: ModelOutput, batch: Batch) -> Mapping[str, Tensor]:
        """The accuracy, and that of the k best labels."""
        logits, labels = outputs["logits"], batch["labels"]
        if labels.ndim > 1:
            truth = multi_hot(labels, logits.shape[1]) > 0
            return {"accuracy": ((logits > 0) == truth).float().mean()}
        means = {"accuracy": (logits.argmax(dim=-1) == labels).float().mean()}
        if self.wanted.top_k:
            best = logits.topk(min(self.wanted.top_k, logits.shape[1]), dim=-1).indices
            found = (best == labels[:, None]).any(dim=-1)
            means[f"top_k_accuracy_{self.wanted.top_k}"] = found.float().mean()
        return means

    def evaluate_batch(self, model: nn.Module, batch: Batch) -> tuple[Losses, Outputs]:
        """The cross-entropy, and scores[B, K]."""
        result = model(**batch)
        scores = _to_scores(result.logits.float(), several=batch["labels"].ndim > 1)
        return {LOSS: result.loss}, {SCORES: scores.cpu().numpy()}

    def metric(self, labels: Sequence[str]) -> Metric:
        """Accuracy, precision, recall and F1."""
        return LabelMetric(labels, self.wanted.top_k)

    def serving_module(self, model: PreTrainedModel) -> nn.Module:
        """Uint8 image[B, H, W, 3] -> scores[B, K]."""
        return _Scores(model)

    def tensors(
        self, _model: PreTrainedModel, input_size: PixelSize, labels: Sequence[str]
    ) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """`image` UINT8 [H, W, 3] and `scores` FP32 [K]."""
        image = TensorSpec("image", "UINT8", (*sides(input_size), 3))
        scores = TensorSpec(SCORES, "FP32", (len(labels),), label_filename=LABELS_FILE)
        return (image,), (scores,)

    def parameters(self) -> Mapping[str, str]:
        """Whether the labels exclude each other, if they do not."""
        return {"multi_label": "true"} if self.wanted.multi_label else {}

    def parse_predictions(
        self, predictions: Sequence[Json], labels: Sequence[str], _pictures: Sequence[Picture]
    ) -> Outputs:
        """scores[N, K] from N lists of {"score", "label"}."""
        rows = [_scores_by_label(prediction) for prediction in predictions]
        for row in rows:
            if set(row) != set(labels):
                raise ValueError(f"labels {sorted(row)} instead of {sorted(labels)}")
        scores = [[row[label] for label in labels] for row in rows]
        return {SCORES: np.asarray(scores, dtype=np.float32)}


TASK: Final[Task] = ImageClassification()


class _Scores(nn.Module):
    """A classifier with normalisation before and softmax, or sigmoid, behind it."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        self._several = is_multi_label(model)

    def forward(self, image: Tensor) -> tuple[Tensor]:
        """RGB uint8 image[B, H, W, 3] -> (scores[B, K] in [0, 1],)."""
        logits = self.model(pixel_values=normalize(to_unit(image))).logits
        return (_to_scores(logits, several=self._several),)


def _to_scores(logits: Tensor, *, several: bool) -> Tensor:
    """logits[B, K] -> scores in [0, 1]: of labels that exclude each other, or of several."""
    return torch.sigmoid(logits) if several else torch.softmax(logits, dim=-1)


def _targets(items: Sequence[Item]) -> Tensor:
    """labels[B] of pictures that have one; of any number of them labels[B, M], filled up with -1."""
    if not isinstance(items[0].sample.target, tuple):
        return torch.tensor([index_of(item.sample) for item in items], dtype=torch.int64)
    rows = [indices_of(item.sample) for item in items]
    most = max(1, *map(len, rows))
    filled = [[*row, *[NO_LABEL] * (most - len(row))] for row in rows]
    return torch.tensor(filled, dtype=torch.int64)


def _with_sets(dataset: Dataset) -> Dataset:
    """The same pictures, whose one label is the only one of any number."""
    splits = {
        split: tuple(replace(sample, target=(index_of(sample),)) for sample in samples)
        for split, samples in dataset.splits.items()
    }
    return replace(dataset, splits=splits)


def positive_weights(samples: Sequence[Sample], count: int) -> Tensor:
    """Pictures without each label for one with it, [K]; 1 for one that none has, or every one.

    A label's loss is then as large over all pictures that have it as over all others.
    """
    there = np.bincount([index for one in samples for index in indices_of(one)], minlength=count)
    told = (there > 0) & (there < len(samples))  # of every picture's label, 0 would learn nothing
    weights = np.divide(len(samples) - there, there, out=np.ones(count), where=told)
    return torch.tensor(weights, dtype=torch.float32)


def _scores_by_label(prediction: Json) -> dict[str, float]:
    if not isinstance(prediction, list):
        kind = type(prediction).__name__
        raise ValueError(f"{kind} instead of a list")  # noqa: TRY004 - a bad answer, not a bad call
    scores: dict[str, float] = {}
    for entry in prediction:
        match entry:
            case {"label": str(label), "score": float() | int() as score}:
                scores[label] = float(score)
            case _:
                raise ValueError(f"{entry!r} instead of a score and a label")
    return scores
