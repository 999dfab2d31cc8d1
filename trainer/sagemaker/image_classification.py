"""SageMaker's Image Classification - MXNet: its hyperparameters -> a ResNet's recipe.

Names, defaults and ranges are those of its guide. The recipe is its own: a constant rate, or one
that falls at epochs, no warm-up and no clipping; of the ResNets the model of the best epoch.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from contract.errors import OptionsError
from contract.options import build
from trainer.classification_hyperparameters import Augmentation, ClassificationHyperparameters
from trainer.datasets.dataset import TRAIN, VALIDATION, Dataset
from trainer.hyperparameters import Precision
from trainer.pixel_size import LARGEST_SIDE
from trainer.sagemaker.descent import (
    beta_faults,
    betas,
    epsilon_faults,
    momentum_and_weight_decay,
    named_optimizer,
)
from trainer.sagemaker.hyperparameters import (
    ALONE,
    Host,
    SageMakerHyperparameters,
    counted,
    split_note,
)
from trainer.sagemaker.resnet_shapes import (
    PRETRAINED_LAYERS,
    SMALL_IMAGE_LAYERS,
    Depth,
    ImageShape,
)
from trainer.sagemaker.shared_fields import (
    Beta1,
    Beta2,
    MinEpochs,
    Patience,
    SquaresDecay,
    Tolerance,
    TrainingSamples,
)
from trainer.sagemaker.values import Epochs, Truth

if TYPE_CHECKING:
    from transformers import TrainerCallback

    from trainer.sagemaker.channel import Channel

MOST_CLASSES: Final = 100_000
"""Those of a ResNet's last layer are 800 MB of weights, and adam keeps three times as much."""

_PRETRAINED_SHAPE: Final = "3,224,224"
_LISTS: Final = ("train_lst", "validation_lst")
_NORM_BATCH: Final = 2  # pictures of which a batch norm of 1x1 features needs at least so many


class ImageClassification(SageMakerHyperparameters):
    """Hyperparameters of Image Classification - MXNet."""

    channels = (TRAIN, VALIDATION, *_LISTS)

    num_classes: int = Field(
        gt=0,
        le=MOST_CLASSES,
        description="Number of output classes; the weights of more take gigabytes",
    )
    num_training_samples: TrainingSamples
    augmentation_type: Augmentation = Field(
        default="none", description="As `augmentation`, which has SageMaker's names"
    )
    beta_1: Beta1 = 0.9
    beta_2: Beta2 = 0.999
    checkpoint_frequency: int | None = Field(
        default=None,
        gt=0,
        description=(
            "Epochs between two checkpoints, 1 if not given; the best epoch's is kept and "
            "published in any case"
        ),
    )
    early_stopping: Truth = Field(
        default=False, description="End when the validation accuracy no longer improves"
    )
    early_stopping_min_epochs: MinEpochs = 10
    early_stopping_patience: Patience = 5
    early_stopping_tolerance: Tolerance = 0.0
    epochs: int = Field(default=30, gt=0, description="`num_train_epochs`")
    eps: float = Field(default=1e-8, ge=0, le=1, description="`epsilon` of adam and rmsprop")
    gamma: SquaresDecay = 0.9
    image_shape: ImageShape = Field(
        default="3,224,224",
        description=(
            "Channels, height and width, `input_size`; a smaller training picture is an error "
            "without resize, a larger one is cropped. Of 1 channel, pictures are seen in grey, `grey`"
        ),
    )
    kv_store: Literal["dist_sync", "dist_async"] | None = Field(
        default=None, description="Ignored: several hosts train synchronously"
    )
    learning_rate: float = Field(default=0.1, ge=0, le=1, description="Initial learning rate")
    lr_scheduler_factor: float = Field(
        default=0.1, ge=0, le=1, description="What the rate is multiplied by at lr_scheduler_step"
    )
    lr_scheduler_step: Epochs = Field(
        default=(), description="Epochs after which it is, such as `10, 20`; constant if not given"
    )
    mini_batch_size: int = Field(
        default=32, gt=0, description="Pictures a step on each host, split over its GPUs"
    )
    momentum: float = Field(default=0.9, ge=0, le=1, description="Momentum of sgd and nag")
    multi_label: int = Field(
        default=0, ge=0, le=1, description="1: any number of labels a picture, sigmoid scores"
    )
    num_layers: Depth = Field(
        default=152,
        description=(
            "18, 34, 50, 101, 152 or 200: resnet-N; 20, 32, 44, 56 or 110, for small pictures: "
            "resnet-cifar-N"
        ),
    )
    optimizer: Literal["sgd", "adam", "rmsprop", "nag"] = Field(
        default="sgd", description="`optimizer` of the same name"
    )
    precision_dtype: Literal["float32", "float16"] = Field(
        default="float32",
        description="float16: mixed precision on a GPU; on a CPU bf16 if it has it, else float32",
    )
    resize: int | None = Field(
        default=None,
        gt=0,
        le=LARGEST_SIDE,
        description=(
            "Shortest side in pixels that a training picture is resized to before the crop, no "
            "smaller than image_shape's; required with train_lst"
        ),
    )
    top_k: int | None = Field(
        default=None, gt=1, description="Report the accuracy of the k best labels, too"
    )
    use_pretrained_model: int = Field(
        default=0, ge=0, le=1, description="1: start from the hub's weights of ImageNet, 224x224"
    )
    use_weighted_loss: int = Field(
        default=0, ge=0, le=1, description="1: weight the classes of multi_label by their counts"
    )
    weight_decay: float = Field(default=0.0001, ge=0, le=1, description="Decay of sgd and nag")

    @property
    def height_width(self) -> tuple[int, int]:
        """The input's height and width in pixels."""
        _, height, width = map(int, self.image_shape.split(","))
        return height, width

    @property
    def is_grey(self) -> bool:
        """Whether the input has one channel."""
        return self.image_shape.startswith("1,")

    def faults(self) -> list[str]:
        """Combinations that SageMaker fails with, too, and some that would divide by 0."""
        faults = []
        if self.resize is not None and self.resize < max(self.height_width):
            faults.append(
                f"resize: got {self.resize}, expected at least the height and width of "
                f"image_shape {self.image_shape}"
            )
        if self.checkpoint_frequency is not None and self.checkpoint_frequency > self.epochs:
            faults.append(
                f"checkpoint_frequency: got {self.checkpoint_frequency}, expected no more than "
                f"the {self.epochs} epochs"
            )
        return (
            faults
            + beta_faults(self.optimizer, self.beta_1, self.beta_2)
            + epsilon_faults("eps", self.optimizer, self.eps)
        )

    def pretrained_faults(self) -> list[str]:
        """What weights of ImageNet cannot start."""
        if not self.use_pretrained_model:
            return []
        faults = []
        if self.num_layers not in PRETRAINED_LAYERS:
            known = ", ".join(map(str, PRETRAINED_LAYERS))
            faults.append(
                f"num_layers: got {self.num_layers} with use_pretrained_model, expected one of "
                f"{known}, of which there are weights"
            )
        if self.image_shape != _PRETRAINED_SHAPE:
            faults.append(
                f"image_shape: got {self.image_shape} with use_pretrained_model, expected "
                f"{_PRETRAINED_SHAPE}"
            )
        return faults

    def recipe(self, host: Host = ALONE) -> ClassificationHyperparameters:
        """A ResNet's training as MXNet does it."""
        height, width = self.height_width
        small = "cifar-" if self.num_layers in SMALL_IMAGE_LAYERS else ""
        return build(
            ClassificationHyperparameters,
            {
                "input_size": height if height == width else f"{height}x{width}",
                "per_device_train_batch_size": self._share(host),
                "per_device_eval_batch_size": host.share(self.mini_batch_size),
                "num_train_epochs": self.epochs,
                "model": f"resnet-{small}{self.num_layers}",
                "pretrained": bool(self.use_pretrained_model),
                "precision": self._precision(host),
                "augmentation": self.augmentation_type,
                "train_fit": "crop",
                "resize": self.resize or 0,
                "grey": self.is_grey,
                "multi_label": bool(self.multi_label),
                "use_weighted_loss": bool(self.multi_label and self.use_weighted_loss),
                "top_k": 0 if self.multi_label else self.top_k or 0,
                **self.early_stopping_recipe(),
                "checkpoint_epochs": self.checkpoint_frequency or 1,
                "warmup_ratio": 0.0,
                "max_grad_norm": 0.0,
                **self._descent(),
            },
        )

    def notes(self, host: Host = ALONE) -> list[str]:
        """What is ignored or done otherwise."""
        notes = split_note("mini_batch_size", self.mini_batch_size, self._share(host), host)
        if self.kv_store is not None:
            notes.append(f"kv_store: {self.kv_store} is ignored; several hosts train synchronously")
        if self.precision_dtype == "float16" and not host.has_gpu:
            notes.append(
                "precision_dtype: no GPU for float16; bf16 if the CPU has it, else float32"
            )
        if self.use_weighted_loss and not self.multi_label:
            notes.append("use_weighted_loss: 1 is ignored; it weights the classes of multi_label")
        if self.top_k is not None and self.multi_label:
            notes.append("top_k: is ignored; a picture of multi_label has no one best label")
        if self.is_grey:
            notes.append(
                f"image_shape: {self.image_shape} is read as three equal channels, which show "
                "coloured pictures in grey"
            )
        return notes

    def read(self, channels: Mapping[str, "Channel"], workspace: Path) -> Dataset:
        """A classification dataset in RecordIO, in files with lists, or in augmented manifests."""
        if self.resize is None and any(name in channels for name in _LISTS):
            raise OptionsError(
                [
                    "resize: required with pictures in files of their own, but not given; expected "
                    f"at least the height and width of image_shape {self.image_shape}"
                ]
            )
        from trainer.sagemaker.classification_channels import read_classification  # noqa: PLC0415 - when used

        dataset = read_classification(channels, self.num_classes, bool(self.multi_label), workspace)
        return counted(dataset, self.num_training_samples)

    def architecture(self) -> dict[str, str]:
        """The three that SageMaker's guide names."""
        return {
            "num_layers": str(self.num_layers),
            "image_shape": self.image_shape,
            "num_classes": str(self.num_classes),
        }

    def log_lines(self) -> "TrainerCallback":
        """This algorithm's lines."""
        from trainer.sagemaker.log_lines import LogLines  # noqa: PLC0415 - torch, when used

        return LogLines("image-classification")

    def _descent(self) -> dict[str, object]:
        """The optimizer and the rate's course."""
        return {
            "learning_rate": self.learning_rate,
            "optimizer": named_optimizer(self.optimizer, self.momentum),
            **momentum_and_weight_decay(self.optimizer, self.momentum, self.weight_decay),
            **betas(self.optimizer, self.beta_1, self.beta_2),
            "epsilon": self.eps,
            "rho": self.gamma,
            "lr_scheduler": "step" if self.lr_scheduler_step else "constant",
            "lr_scheduler_factor": self.lr_scheduler_factor,
            "lr_scheduler_step": self.lr_scheduler_step,
        }

    def _share(self, host: Host) -> int:
        """Pictures a step on each process, enough for a batch norm."""
        return max(_NORM_BATCH, host.share(self.mini_batch_size))

    def _precision(self, host: Host) -> Precision:
        """float32 is what it says; float16 needs a GPU."""
        if self.precision_dtype == "float32":
            return "fp32"
        return "fp16" if host.has_gpu else "auto"
