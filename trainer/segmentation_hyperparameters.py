"""Hyperparameters of semantic segmentation: EasyMaker's four, then ours."""

from typing import Literal

from pydantic import Field, model_validator

from trainer.hyperparameters import Hyperparameters

STRIDE = 32


class SegmentationHyperparameters(Hyperparameters):
    """Hyperparameters of semantic segmentation.

    The defaults of ours are SegFormer's recipe: AdamW with a decay of 0.01 and a short warm-up
    (Xie et al. 2021, arXiv 2105.15203, section 4.1).
    """

    input_size: int = Field(
        default=512,
        ge=STRIDE,
        description="Height and width of the model's input in pixels, a multiple of 32",
    )
    learning_rate: float = Field(
        default=2e-4, ge=0, description="Peak learning rate of the AdamW optimizer"
    )
    per_device_train_batch_size: int = Field(
        default=4,
        ge=0,
        description=(
            "Training pictures a step, on each GPU or CPU process; 0 finds the largest power of "
            "two that fits a GPU's memory, and is 4 on a CPU, where more is not faster"
        ),
    )
    per_device_eval_batch_size: int = Field(
        default=4, ge=1, description="Evaluated pictures a step, on each GPU or CPU process"
    )
    num_train_epochs: float = Field(
        default=3.0, ge=0, description="How often the whole training set is seen, in parts too"
    )
    model: str = Field(
        default="segformer-b3",
        description=(
            "segformer-b0, -b1, -b2, -b3, -b4, -b5 or -tiny; the folder of a local checkpoint; or a hub "
            "id with --pretrained"
        ),
    )
    warmup_ratio: float = Field(
        default=0.05, ge=0, lt=1, description="Part of all steps in which the rate rises linearly"
    )
    weight_decay: float = Field(
        default=0.01, ge=0, description="Decoupled decay of weights; biases and norms have none"
    )
    augmentation: Literal["none", "flip"] = Field(
        default="flip", description="flip: half of the pictures are mirrored, and their masks"
    )

    @model_validator(mode="after")
    def _whole_strides(self) -> "SegmentationHyperparameters":
        if self.input_size % STRIDE:
            raise ValueError(f"input_size: got {self.input_size}, expected a multiple of {STRIDE}")
        return self
