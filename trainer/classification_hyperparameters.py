"""Hyperparameters of image classification: EasyMaker's own first, then ours.

The defaults of ours leave EasyMaker's behaviour, and make its defaults learn: a learning
rate of 0.1 with AdamW diverges unless it is warmed up, decays to zero, the gradients are clipped
and the weights' norm is bounded. With decoupled weight decay L and learning rate n the weights of a
normalised layer settle at a rotation of sqrt(2 n L) an update (Kosson et al. 2023,
arXiv 2305.17212), so a decay of 1.0 keeps the norm where a rate of 0.1 still learns.
What so high a peak rate leaves to learn is learned while the rate is low, so it falls as the cube:
93 % instead of the cosine's 84 to 90 % on scikit-learn's digits with the defaults.
"""

import re
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from trainer.hyperparameters import Hyperparameters
from trainer.pixel_size import LARGEST_SIDE, PixelSize, sides, size_text

Augmentation = Literal["none", "crop", "crop_color", "crop_color_transform"]

_HXW: Final = re.compile(r"(\d+)[xX](\d+)")
_SMALLEST_SIDE: Final = 4


class ClassificationHyperparameters(Hyperparameters):
    """Hyperparameters of image classification."""

    input_size: int = Field(
        default=28,
        ge=_SMALLEST_SIDE,
        description="Height and width of the model's input in pixels; 224x320 is --input_size 224 "
        "--input_width 320",
    )
    learning_rate: float = Field(
        default=0.1, ge=0, description="Peak learning rate of the optimizer"
    )
    per_device_train_batch_size: int = Field(
        default=16, ge=2, description="Training pictures a step, on each GPU or CPU process"
    )
    per_device_eval_batch_size: int = Field(
        default=16, ge=1, description="Evaluated pictures a step, on each GPU or CPU process"
    )
    num_train_epochs: int = Field(
        default=3, ge=1, description="How often the whole training set is seen"
    )
    model: str = Field(
        default="resnet-50",
        description=(
            "resnet-18, -26, -34, -50, -101, -152 or -200; for small pictures resnet-cifar-20, -32, "
            "-44, -56 or -110; resnet-tiny and resnet-cifar-8 for tests; the folder of a local "
            "checkpoint; or a hub id with --pretrained"
        ),
    )
    decay_power: float = Field(
        default=3.0,
        ge=0,
        description="poly lets the rate fall to 0 as this power of the steps left",
    )
    weight_decay: float = Field(
        default=1.0,
        ge=0,
        description="Decay of weights, decoupled with adamw; biases and norms have none",
    )
    augmentation: Augmentation = Field(
        default="none",
        description=(
            "crop: random crop and horizontal flip; crop_color: hue, saturation and lightness "
            "too; crop_color_transform: rotation, shear and aspect too"
        ),
    )
    input_width: int = Field(
        default=0, ge=0, description="Width of the model's input in pixels; 0 is its height"
    )
    train_fit: Literal["squash", "crop"] = Field(
        default="squash",
        description=(
            "How a training picture gets the input's size: squash, or crop a part of it, at random "
            "if there is an augmentation, else the middle; all others are squashed"
        ),
    )
    resize: int = Field(
        default=0,
        ge=0,
        le=LARGEST_SIDE,
        description="Pixels that a training picture's shorter side has before crop, which this "
        "implies; 0 leaves it",
    )

    grey: bool = Field(
        default=False, description="The model sees pictures in grey, in training and served"
    )
    multi_label: bool = Field(
        default=False, description="A picture has any number of the labels, and scores are sigmoid"
    )
    use_weighted_loss: bool = Field(
        default=False,
        description="With multi_label, a label's pictures count as much as those without it",
    )
    top_k: int = Field(
        default=0,
        ge=0,
        description="The accuracy of the k best labels is reported, too; 0 reports none",
    )

    @property
    def size(self) -> PixelSize:
        """The model's input: a side, or height and width, in pixels."""
        square = self.input_width in (0, self.input_size)
        return self.input_size if square else (self.input_size, self.input_width)

    @property
    def crops(self) -> bool:
        """Whether training pictures are cropped and not squashed."""
        return self.train_fit == "crop" or self.resize > 0

    @model_validator(mode="before")
    @classmethod
    def _height_and_width(cls, values: Any) -> Any:
        """`input_size` of the form 224x320 is a height and a width."""
        match values:
            case {"input_size": str(text), **rest} if (sides := _HXW.fullmatch(text)) is not None:
                height, width = sides.groups()
                if str(rest.get("input_width", width)) != width:
                    raise ValueError(
                        f"input_size: got {text!r} beside input_width {rest['input_width']}; "
                        "expected one of them to say the width"
                    )
                return {**rest, "input_size": height, "input_width": width}
        return values

    @model_validator(mode="after")
    def _label_options(self) -> "ClassificationHyperparameters":
        if self.use_weighted_loss and not self.multi_label:
            raise ValueError("use_weighted_loss: got true, expected false without multi_label")
        if self.top_k and self.multi_label:
            raise ValueError(f"top_k: got {self.top_k}, expected 0 with multi_label")
        return self

    @model_validator(mode="after")
    def _sizes(self) -> "ClassificationHyperparameters":
        if 0 < self.input_width < _SMALLEST_SIDE:
            raise ValueError(
                f"input_width: got {self.input_width}, expected 0 or at least {_SMALLEST_SIDE}"
            )
        if 0 < self.resize < max(sides(self.size)):
            raise ValueError(
                f"resize: got {self.resize}, expected 0 or at least the input's height and width, "
                f"{size_text(self.size)}"
            )
        return self
