"""SageMaker's Semantic Segmentation: its hyperparameters -> the recipe of an FCN, PSP or DeepLabV3.

Names, defaults and ranges are those of its guide. `adadelta` is in its guide to tuning alone, and
accepted. The power of the poly schedule is GluonCV's, on which SageMaker builds.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from contract.options import build
from trainer.datasets.dataset import TRAIN, VALIDATION, Dataset
from trainer.pixel_size import LARGEST_SIDE
from trainer.sagemaker.descent import momentum_and_weight_decay
from trainer.sagemaker.hyperparameters import (
    ALONE,
    Host,
    SageMakerHyperparameters,
    counted,
    split_note,
)
from trainer.sagemaker.shared_fields import (
    MinEpochs,
    Patience,
    SquaresDecay,
    Tolerance,
    TrainingSamples,
)
from trainer.sagemaker.values import Epochs, Truth
from trainer.segmentation_hyperparameters import SegmentationHyperparameters

if TYPE_CHECKING:
    from transformers import TrainerCallback

    from trainer.sagemaker.channel import Channel

_MULTIPLE: Final = 8  # of which a crop's side is rounded up to one
_POLY_POWER: Final = 0.9
_ADADELTA_DECAY: Final = 0.9
_EPSILONS: Final = {"adagrad": 1e-7, "adadelta": 1e-5}  # MXNet's, which the guide does not name


class SemanticSegmentation(SageMakerHyperparameters):
    """Hyperparameters of Semantic Segmentation."""

    channels = (TRAIN, VALIDATION, "train_annotation", "validation_annotation", "label_map")

    backbone: Literal["resnet-50", "resnet-101"] = Field(
        default="resnet-50", description="The network's encoder, part of `model`"
    )
    use_pretrained_model: Truth = Field(
        default=True, description="Start the backbone from the hub's weights of ImageNet"
    )
    algorithm: Literal["fcn", "psp", "deeplab"] = Field(
        default="fcn", description="The network's decoder, part of `model`; deeplab is DeepLabV3"
    )
    num_classes: int = Field(ge=2, le=254, description="Number of classes")
    num_training_samples: TrainingSamples
    base_size: int = Field(
        default=520,
        gt=16,
        le=LARGEST_SIDE,
        description="Pixels that, times a random 0.5 to 2.0, a training picture's long side becomes",
    )
    crop_size: int = Field(
        default=240,
        gt=16,
        le=LARGEST_SIDE,
        description=(
            "Side in pixels of the random crop and of the model's input; rounded up to a multiple "
            "of 8"
        ),
    )
    early_stopping: Truth = Field(
        default=False, description="End when the validation mIOU no longer improves"
    )
    early_stopping_min_epochs: MinEpochs = 5
    early_stopping_patience: Patience = 4
    early_stopping_tolerance: Tolerance = 0.0
    epochs: int = Field(default=10, gt=0, description="`num_train_epochs`")
    gamma1: SquaresDecay = 0.9
    gamma2: float = Field(default=0.9, ge=0, le=1, description="rmsprop's `momentum`")
    learning_rate: float = Field(default=0.001, gt=0, le=1, description="Initial learning rate")
    lr_scheduler: Literal["step", "poly", "cosine"] = Field(
        default="poly",
        description="The rate's course: falls at lr_scheduler_step, as a power of 0.9, or a cosine",
    )
    lr_scheduler_factor: float = Field(
        default=0.1, ge=0, le=1, description="What step multiplies the rate by"
    )
    lr_scheduler_step: Epochs = Field(
        default=(), description="Epochs after which step does, such as `10, 20`; required with step"
    )
    mini_batch_size: int = Field(
        default=16, gt=0, description="Pictures a step, split over the GPUs"
    )
    momentum: float = Field(default=0.9, gt=0, le=1, description="Momentum of sgd and nag")
    optimizer: Literal["adam", "adagrad", "nag", "rmsprop", "sgd", "adadelta"] = Field(
        default="sgd", description="`optimizer` of the same name"
    )
    syncbn: Truth = Field(
        default=False, description="Batch norms see the pictures of all GPUs together"
    )
    validation_mini_batch_size: int = Field(
        default=16, gt=0, description="Evaluated pictures at a time, split over the GPUs"
    )
    weight_decay: float = Field(default=0.0001, gt=0, lt=1, description="Decay of sgd and nag")

    @property
    def side(self) -> int:
        """crop_size, rounded up."""
        return -(-self.crop_size // _MULTIPLE) * _MULTIPLE

    def faults(self) -> list[str]:
        """A schedule of steps without steps, and a mean over a single picture."""
        faults = []
        if self.lr_scheduler == "step" and not self.lr_scheduler_step:
            faults.append(
                "lr_scheduler_step: required with lr_scheduler step, but not given; expected "
                "rising numbers of epochs such as '10, 20'"
            )
        if self.algorithm != "fcn" and self.mini_batch_size == 1:
            faults.append(
                f"mini_batch_size: got 1 with algorithm {self.algorithm}, expected at least 2, "
                "since it normalises one mean of each picture over the batch"
            )
        return faults

    def pretrained_faults(self) -> list[str]:
        """None: the hub has both backbones, at any size."""
        return []

    def recipe(self, host: Host = ALONE) -> SegmentationHyperparameters:
        """A dilated ResNet's training as GluonCV does it."""
        return build(
            SegmentationHyperparameters,
            {
                "input_size": self.side,
                "crop_size": self.side,
                "base_size": self.base_size,
                "syncbn": self.syncbn,
                "per_device_train_batch_size": host.share(self.mini_batch_size),
                "per_device_eval_batch_size": host.share(self.validation_mini_batch_size),
                "num_train_epochs": self.epochs,
                "model": f"{self.algorithm}-{self.backbone}",
                "pretrained": self.use_pretrained_model,
                **self.early_stopping_recipe(),
                "warmup_ratio": 0.0,
                "max_grad_norm": 0.0,
                **self._descent(),
            },
        )

    def notes(self, host: Host = ALONE) -> list[str]:
        """What is done otherwise."""
        share = host.share(self.mini_batch_size)
        notes = split_note("mini_batch_size", self.mini_batch_size, share, host)
        if self.side != self.crop_size:
            notes.append(f"crop_size: {self.crop_size} is rounded up to {self.side}")
        if self.optimizer == "adadelta":
            notes.append("optimizer: adadelta is in SageMaker's guide to tuning alone; accepted")
        if self.syncbn and host.processes == 1:
            notes.append("syncbn: True has no effect on one process")
        return notes

    def read(self, channels: Mapping[str, "Channel"], workspace: Path) -> Dataset:
        """A segmentation dataset in folders of pictures and masks, or in augmented manifests."""
        from trainer.sagemaker.segmentation_channels import read_segmentation  # noqa: PLC0415 - when used

        dataset = read_segmentation(channels, self.num_classes, workspace)
        return counted(dataset, self.num_training_samples)

    def architecture(self) -> dict[str, str]:
        """The four that SageMaker's guide names."""
        return {
            "backbone": self.backbone,
            "algorithm": self.algorithm,
            "crop_size": str(self.side),
            "num_classes": str(self.num_classes),
        }

    def log_lines(self) -> "TrainerCallback":
        """This algorithm's lines."""
        from trainer.sagemaker.log_lines import LogLines  # noqa: PLC0415 - torch, when used

        return LogLines("semantic-segmentation")

    def _descent(self) -> dict[str, object]:
        """The optimizer and the rate's course."""
        is_rmsprop = self.optimizer == "rmsprop"
        return {
            "learning_rate": self.learning_rate,
            "optimizer": self.optimizer,
            **momentum_and_weight_decay(self.optimizer, self.momentum, self.weight_decay),
            **({"momentum": self.gamma2} if is_rmsprop else {}),  # instead of the line above's
            "rho": self.gamma1 if is_rmsprop else _ADADELTA_DECAY,
            "epsilon": _EPSILONS.get(self.optimizer, 1e-8),
            "lr_scheduler": self.lr_scheduler,
            "decay_power": _POLY_POWER,
            "lr_scheduler_factor": self.lr_scheduler_factor,
            "lr_scheduler_step": self.lr_scheduler_step,
        }
