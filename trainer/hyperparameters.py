"""Hyperparameters of every task: EasyMaker's own first, with its names and types, then ours."""

from typing import Any, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from contract.options import Options
from trainer.pixel_size import PixelSize
from trainer.recipe import Recipe

Precision = Literal["auto", "fp32", "bf16", "fp16"]
MemoryFormat = Literal["auto", "contiguous", "channels_last"]

_TRUTH_VALUE: Final = TypeAdapter(bool)


class Training(Options):
    """EasyMaker's names, the model's, and what the machine is asked for."""

    input_size: int
    learning_rate: float
    per_device_train_batch_size: int
    per_device_eval_batch_size: int
    num_train_epochs: float
    logging_steps: int = Field(
        default=500, ge=500, description="Steps between two log lines; each epoch's end logs too"
    )
    model: str
    pretrained: bool = Field(
        default=False,
        description=(
            "Start from the hub's weights of the model, not from random ones; or give a folder or "
            "a hub id here in the place of --model"
        ),
    )
    seed: int = Field(default=42, ge=0, lt=2**32, description="Seed of everything random")
    warmup_ratio: float = Field(
        default=0.05, ge=0, lt=1, description="Part of all steps in which the rate rises linearly"
    )
    decay_power: float = Field(
        default=1.0,
        ge=0,
        description="poly lets the rate fall to 0 as this power of the steps left",
    )
    weight_decay: float
    max_grad_norm: float = Field(
        default=1.0, ge=0, description="Gradients are clipped to this norm; 0 does not clip"
    )
    precision: Precision = Field(
        default="auto",
        description=(
            "Number format of the training's arithmetic; auto is bf16 on a CPU with AMX and on a "
            "GPU since compute capability 8.0, else fp32"
        ),
    )
    memory_format: MemoryFormat = Field(
        default="auto",
        description="Order of a picture's axes in memory; auto is channels_last unless fp32",
    )
    dataloader_num_workers: int | None = Field(
        default=None,
        ge=0,
        description="Processes that read pictures; by default 0 on a CPU, up to 8 beside a GPU",
    )

    @model_validator(mode="before")
    @classmethod
    def _weights_by_name(cls, values: Any) -> Any:
        """`pretrained` with a folder or hub id is `model` with it, and `pretrained`."""
        match values:
            case {"pretrained": str(source), **rest} if not _is_truth_value(source):
                if rest.get("model", source) != source:
                    raise ValueError(
                        f"pretrained: got {source!r} beside model {rest['model']!r}; expected one "
                        "of them, since weights say themselves what model they are of"
                    )
                return {**rest, "model": source, "pretrained": True}
        return values


class Hyperparameters(Recipe, Training):
    """What every task has; each gives its own names' defaults and ranges in a subclass."""

    @property
    def size(self) -> PixelSize:
        """The model's input: a side, or height and width, in pixels."""
        return self.input_size


def _is_truth_value(text: str) -> bool:
    """Whether pydantic reads a text as a bool, such as `true` or `no`."""
    try:
        _TRUTH_VALUE.validate_python(text)
    except ValidationError:
        return False
    return True
