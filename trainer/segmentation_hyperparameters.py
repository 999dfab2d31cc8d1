"""Hyperparameters of semantic segmentation: EasyMaker's four, then ours."""

from typing import Any, Literal

from pydantic import Field, model_validator

from trainer.pixel_size import LARGEST_SIDE
from trainer.shared_hyperparameters import SharedHyperparameters


class SegmentationHyperparameters(SharedHyperparameters):
    """Hyperparameters of semantic segmentation.

    The defaults of ours are SegFormer's recipe: AdamW with a decay of 0.01 and a short warm-up
    (Xie et al. 2021, arXiv 2105.15203, section 4.1).
    """

    input_size: int = Field(
        default=512,
        ge=16,
        multiple_of=8,
        description="Height and width of the model's input in pixels; SegFormer's are of 32 each",
    )
    per_device_train_batch_size: int = Field(
        default=4,
        ge=0,
        description=(
            "Training pictures a step, on each GPU or CPU process; 0 finds the largest power of "
            "two that fits a GPU's memory, and is 4 on a CPU, where more is not faster"
        ),
    )
    model: str = Field(
        default="segformer-b3",
        description=(
            "segformer-b0, -b1, -b2, -b3, -b4, -b5 or -tiny; fcn-, psp- or deeplab-resnet-50, "
            "-resnet-101 or -tiny; the folder of a local checkpoint; or a hub id with --pretrained"
        ),
    )
    warmup_ratio: float = Field(
        default=0.05, ge=0, lt=1, description="Part of all steps in which the rate rises linearly"
    )
    weight_decay: float = Field(
        default=0.01,
        ge=0,
        description="Decay of weights, decoupled with adamw; biases and norms have none",
    )
    augmentation: Literal["none", "flip"] = Field(
        default="flip", description="flip: half of the pictures are mirrored, and their masks"
    )
    crop_size: int = Field(
        default=0,
        ge=0,
        le=LARGEST_SIDE,
        multiple_of=8,
        description=(
            "Height and width in pixels of the random squares that a training sees; 0 is the whole "
            "picture, squashed. Unless input_size is given it is this"
        ),
    )
    base_size: int = Field(
        default=520,
        ge=16,
        le=LARGEST_SIDE,
        description=(
            "Longer side in pixels, times 0.5 to 2 by chance, of the training picture that a "
            "square of crop_size is cut from"
        ),
    )
    syncbn: bool = Field(
        default=False,
        description="Batch norms over the pictures of all GPU processes; on a CPU as without",
    )

    @model_validator(mode="before")
    @classmethod
    def _input_as_cropped(cls, values: Any) -> Any:
        """`crop_size` alone says the size of the input too."""
        match values:
            case {"crop_size": size} if "input_size" not in values and str(size) != "0":
                return {**values, "input_size": size}
        return values
