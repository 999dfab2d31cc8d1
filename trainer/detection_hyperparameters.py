"""Hyperparameters of object detection: EasyMaker's own first, then ours."""

from typing import Literal

from pydantic import Field

from trainer.shared_hyperparameters import SharedHyperparameters

BoxAugmentation = Literal["none", "flip", "crop", "crop_color"]


class DetectionHyperparameters(SharedHyperparameters):
    """Hyperparameters of object detection; the decay and the clipping are those of DETR."""

    per_device_train_batch_size: int = Field(
        default=4, ge=1, description="Training pictures a step, on each GPU or CPU process"
    )
    threshold: float = Field(
        default=0.5, ge=0, le=1, description="Score above which a served model answers an object"
    )
    input_size: int = Field(
        default=800,
        ge=32,
        multiple_of=32,
        description="Side in pixels of the square that a picture fills up to its longest side",
    )
    model: str = Field(
        default="detr-resnet-50",
        description=(
            "detr-resnet-50 or -101; rtdetr-v2-r18, -r34, -r50 or -r101; dfine-nano, -small, "
            "-medium, -large or -xlarge; dfine-tiny for small pictures; detr-tiny and "
            "rtdetr-v2-tiny for tests; the folder of a local checkpoint; or a hub id with "
            "--pretrained"
        ),
    )
    weight_decay: float = Field(
        default=1e-4,
        ge=0,
        description="Decay of weights, decoupled with adamw; biases and norms have none",
    )
    max_grad_norm: float = Field(
        default=0.1, ge=0, description="Gradients are clipped to this norm; 0 does not clip"
    )
    augmentation: BoxAugmentation = Field(
        default="flip",
        description=(
            "flip: mirrored left to right; crop: a random part of the picture, enlarged, too; "
            "crop_color: hue, saturation and lightness too"
        ),
    )
