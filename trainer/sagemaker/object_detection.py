"""SageMaker's Object Detection - TensorFlow: its hyperparameters -> a detector's recipe.

Names, defaults and ranges are those of its guide; what JumpStart's scripts do not know they ignore,
and so does this. The detectors are others than TensorFlow's (`detection_models`), so the warm-up and
the clipping of their own recipe stay; the rate is constant, as there.

JumpStart says with the image and the weights which model a job is of, not in its hyperparameters.
`model_id`, `input_size` and `use_pretrained_model` say it here, and are no part of SageMaker's.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field

from contract.options import build, describe, unknown_name
from trainer.datasets.dataset import TRAIN, VALIDATION, Dataset
from trainer.detection_hyperparameters import DetectionHyperparameters
from trainer.detector_sizes import SIZES
from trainer.pixel_size import LARGEST_SIDE
from trainer.sagemaker.descent import (
    beta_faults,
    betas,
    epsilon_faults,
    momentum_and_weight_decay,
    named_optimizer,
)
from trainer.sagemaker.detection_models import DEFAULT_MODEL, DETECTION_MODELS, DetectionModel
from trainer.sagemaker.hyperparameters import ALONE, Host, SageMakerHyperparameters, split_note
from trainer.sagemaker.shared_fields import Beta1, Beta2
from trainer.sagemaker.values import Automatic, MaybeTruth, Truth

if TYPE_CHECKING:
    from transformers import TrainerCallback

    from trainer.sagemaker.channel import Channel


EPOCHS: Final = 5
LARGE_EPOCHS: Final = 1

_DEFAULT_SIDE: Final = 640
_HIGH_RATE: Final = 5e-4


def _known_model(model_id: str) -> str:
    if model_id not in DETECTION_MODELS and model_id not in SIZES:
        raise ValueError(
            f"got {model_id!r}, expected one of {', '.join([*DETECTION_MODELS, *SIZES])}"
        )
    return model_id


class ObjectDetection(SageMakerHyperparameters):
    """Hyperparameters of Object Detection - TensorFlow."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())

    channels = ("training", TRAIN, VALIDATION)

    model_id: Annotated[str, AfterValidator(_known_model)] = Field(
        default=DEFAULT_MODEL,
        description="Not SageMaker's: the JumpStart model, or a detector of `fit`'s `model`",
    )
    input_size: int | None = Field(
        default=None,
        ge=32,
        le=LARGEST_SIDE,
        multiple_of=32,
        description="Not SageMaker's: side of the model's input in pixels, if not the model_id's",
    )
    use_pretrained_model: MaybeTruth = Field(
        default=None,
        description=(
            "Not SageMaker's: start from the hub's weights of COCO; True where there are any"
        ),
    )
    epochs: int | None = Field(
        default=None,
        gt=0,
        description=(
            "`num_train_epochs`; if not given 5, or 1 with a model_id of more than 768 pixels"
        ),
    )
    batch_size: int = Field(
        default=3, gt=0, description="Pictures a step on each host, split over its GPUs"
    )
    learning_rate: float = Field(
        default=0.001, ge=0, le=1, description="Learning rate after the warm-up"
    )
    optimizer: Literal["adam", "sgd", "nesterov", "rmsprop", "adagrad", "adadelta"] = Field(
        default="adam", description="`optimizer` of the same name; nesterov is nag"
    )
    beta_1: Beta1 = 0.9
    beta_2: Beta2 = 0.999
    momentum: float = Field(default=0.9, ge=0, le=1, description="Momentum of sgd and nesterov")
    epsilon: float = Field(
        default=1e-7, ge=0, le=1, description="`epsilon` of adam, rmsprop, adadelta and adagrad"
    )
    rho: float = Field(
        default=0.95,
        ge=0,
        le=1,
        description="Decay of the mean squared gradient of adadelta and rmsprop",
    )
    initial_accumulator_value: float = Field(
        default=0.1, ge=0, le=1, description="What adagrad's sums start at"
    )
    early_stopping: Truth = Field(
        default=False, description="End when the validation mAP no longer grows"
    )
    early_stopping_patience: int = Field(
        default=5, gt=0, description="Epochs without growth after which it ends"
    )
    early_stopping_min_delta: float = Field(
        default=0.0, ge=0, le=1, description="Growth of this or less is none"
    )
    reinitialize_top_layer: Automatic = Field(
        default="Auto",
        description=(
            "Auto: the head starts anew on other weights than the `model` channel's; True: on those, "
            "too"
        ),
    )
    train_only_on_top_layer: MaybeTruth = Field(
        default=None,
        description=(
            "Train the head alone; if not given, False, or True with a model_id of more than 768 "
            "pixels"
        ),
    )
    train_only_top_layer: MaybeTruth = Field(default=None, description="The same by its other name")
    eps: float | None = Field(
        default=None, ge=0, le=1, description="epsilon's name in the guide to tuning"
    )
    regularizers_l2: float | None = Field(
        default=None, ge=0, le=1, description="Ignored: in the guide to tuning alone"
    )

    @property
    def model(self) -> DetectionModel:
        """The detector that is meant."""
        named = DETECTION_MODELS.get(self.model_id)
        return named or DetectionModel(self.model_id, _DEFAULT_SIDE, "asked for by its own name")

    @property
    def top_layer_alone(self) -> bool:
        """Whether the head alone is trained."""
        given = (self.train_only_on_top_layer, self.train_only_top_layer)
        return next((value for value in given if value is not None), self.model.is_large)

    @property
    def is_pretrained(self) -> bool:
        """Whether the training starts from the hub's weights."""
        asked = self.use_pretrained_model
        return bool(SIZES[self.model.detector].hub_id) if asked is None else asked

    def faults(self) -> list[str]:
        """One wish under two names, and divisions by 0."""
        first, second = self.train_only_on_top_layer, self.train_only_top_layer
        faults = beta_faults(self.optimizer, self.beta_1, self.beta_2)
        name, epsilon = self._epsilon
        faults += epsilon_faults(name, self.optimizer, epsilon, self.initial_accumulator_value)
        if first is not None and second is not None and first != second:
            faults.append(
                f"train_only_top_layer: got {second} beside train_only_on_top_layer {first}; "
                "expected one of them, since they mean the same"
            )
        return faults

    def pretrained_faults(self) -> list[str]:
        """Weights that there are none of."""
        if not self.is_pretrained or SIZES[self.model.detector].hub_id:
            return []
        return [
            f"use_pretrained_model: got True, but the hub has no weights of {self.model.detector}; "
            "expected False"
        ]

    def recipe(self, host: Host = ALONE) -> DetectionHyperparameters:
        """A detector's training at a constant rate."""
        share = host.share(self.batch_size)
        return build(
            DetectionHyperparameters,
            {
                "input_size": self.input_size or self.model.side,
                "per_device_train_batch_size": share,
                "per_device_eval_batch_size": share,
                "num_train_epochs": self._epochs,
                "model": self.model.detector,
                "pretrained": self.is_pretrained,
                "train_only_top_layer": self.top_layer_alone,
                "reinitialize_top_layer": self.reinitialize_top_layer.lower(),
                **self.early_stopping_recipe(),
                **self._descent(),
            },
        )

    def notes(self, host: Host = ALONE) -> list[str]:
        """What is ignored or done otherwise."""
        notes = split_note("batch_size", self.batch_size, host.share(self.batch_size), host)
        known = [row.name for row in describe(type(self))]
        notes += [f"{unknown_name(name, known)} (ignored)" for name in self.model_extra or {}]
        if self.regularizers_l2 is not None:
            notes.append("regularizers_l2: is ignored; SageMaker's own table has no such name")
        if self.eps is not None:
            told = "ignored beside epsilon" if "epsilon" in self.model_fields_set else "epsilon"
            notes.append(f"eps: is {told}")
        if self.model_id in DETECTION_MODELS:
            notes.append(f"model_id: {self.model_id} is {self.model.detector} here")
        if self.learning_rate > _HIGH_RATE and not self.top_layer_alone:
            notes.append(
                f"learning_rate: {self.learning_rate} is high for {self.model.detector}, a "
                "transformer whose authors train it with 0.0001"
            )
        return notes

    def read(self, channels: Mapping[str, "Channel"], workspace: Path) -> Dataset:
        """A detection dataset in folders of pictures and annotations, or in augmented manifests."""
        from trainer.sagemaker.detection_channels import read_detection  # noqa: PLC0415 - when used

        return read_detection(channels, workspace)

    def architecture(self) -> dict[str, str]:
        """The detector; its classes are compared by their names."""
        return {"model": self.model.detector}

    def log_lines(self) -> "TrainerCallback":
        """This algorithm's lines."""
        from trainer.sagemaker.log_lines import LogLines  # noqa: PLC0415 - torch, when used

        return LogLines("object-detection")

    @property
    def _epochs(self) -> int:
        return self.epochs or (LARGE_EPOCHS if self.model.is_large else EPOCHS)

    def _descent(self) -> dict[str, object]:
        """The optimizer and the rate's course; Keras's optimizers decay no weight."""
        return {
            "learning_rate": self.learning_rate,
            "optimizer": named_optimizer(self.optimizer, self.momentum),
            **momentum_and_weight_decay(self.optimizer, self.momentum, weight_decay=0.0),
            **betas(self.optimizer, self.beta_1, self.beta_2),
            "epsilon": self._epsilon[1],
            "rho": self.rho,
            "initial_accumulator_value": self.initial_accumulator_value,
            "lr_scheduler": "constant",
        }

    @property
    def _epsilon(self) -> tuple[str, float]:
        """Under which name it is given, and what it is."""
        if self.eps is None or "epsilon" in self.model_fields_set:
            return "epsilon", self.epsilon
        return "eps", self.eps
