"""How a training moves the weights, when it stops and which of them it keeps, for every task.

The defaults are the trainer's own recipe. The other optimizers and schedules are torch's under the
names that SageMaker's built-in algorithms have for them; what each does is in docs/sagemaker.md.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from contract.options import Options

OptimizerName = Literal["adamw", "adam", "sgd", "nag", "rmsprop", "adagrad", "adadelta"]
ScheduleName = Literal["poly", "step", "cosine", "constant"]
Reinitialize = Literal["auto", "true", "false"]


def needs_epsilon(optimizer: str, initial_accumulator_value: float) -> bool:
    """Whether a weight whose gradients are 0 is moved by 0 / epsilon."""
    if optimizer == "adagrad":
        return initial_accumulator_value == 0
    return optimizer in ("adamw", "adam", "rmsprop", "adadelta")


def _split(value: object) -> object:
    """A text such as `10, 20`, or several of them, in its parts; other values as they are."""
    texts = [value] if isinstance(value, str) else value
    if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
        return [part for text in texts for part in text.split(",")]
    return value


class Recipe(Options):
    """The part of the hyperparameters that no data and no model is named in."""

    optimizer: OptimizerName = Field(
        default="adamw", description="What turns gradients into steps; nag is sgd with Nesterov's"
    )
    momentum: float = Field(
        default=0.9, ge=0, le=1, description="Part of a step kept in the next: sgd, nag, rmsprop"
    )
    beta_1: float = Field(
        default=0.9, ge=0, lt=1, description="Decay of the gradients' mean: adamw, adam"
    )
    beta_2: float = Field(
        default=0.999, ge=0, lt=1, description="Decay of the squared gradients' mean: adamw, adam"
    )
    epsilon: float = Field(
        default=1e-8, ge=0, le=1, description="Added to what a step is divided by: all but sgd, nag"
    )
    rho: float = Field(
        default=0.9,
        ge=0,
        le=1,
        description="Decay of the squared gradients' mean: rmsprop, adadelta",
    )
    initial_accumulator_value: float = Field(
        default=0.0, ge=0, le=1, description="What adagrad's sums of squared gradients start at"
    )
    lr_scheduler: ScheduleName = Field(
        default="poly",
        description=(
            "After the warm-up the rate falls to 0 as a power of the steps left, or as a cosine; "
            "by a factor at epochs; or stays"
        ),
    )
    lr_scheduler_factor: float = Field(
        default=0.1, ge=0, le=1, description="step multiplies the rate by it"
    )
    lr_scheduler_step: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(_split)
    ] = Field(default=(), description="Epochs after which step does so, as in `10, 20`")

    early_stopping: bool = Field(
        default=False,
        description="End once the validation split's main metric has not grown for some epochs",
    )
    early_stopping_min_epochs: int = Field(
        default=1, ge=1, description="Epochs before whose end no training ends early"
    )
    early_stopping_patience: int = Field(
        default=5, ge=1, description="So many epochs without growth end a training early"
    )
    early_stopping_tolerance: float = Field(
        default=0.0, ge=0, le=1, description="Growth below this part of the best is none"
    )
    early_stopping_min_delta: float = Field(
        default=0.0, ge=0, le=1, description="Growth of this or less is none"
    )
    published_checkpoint: Literal["last", "best"] = Field(
        default="last",
        description=(
            "What is evaluated and published: the last weights, or those of the epoch with the "
            "best main metric on the validation split"
        ),
    )
    checkpoint_epochs: int = Field(
        default=1,
        ge=1,
        description="Epochs from one checkpoint to the next; the last and the best have theirs",
    )

    train_only_top_layer: bool = Field(
        default=False,
        description="Only the weights that depend on the labels learn; the rest stays as it is",
    )
    reinitialize_top_layer: Reinitialize = Field(
        default="auto",
        description=(
            "Whether these start anew on given weights; auto: where the labels are others"
        ),
    )

    @model_validator(mode="after")
    def _complete(self) -> "Recipe":
        if self.lr_scheduler == "step" and not self.lr_scheduler_step:
            raise ValueError(
                "lr_scheduler_step: got nothing, expected the epochs after which the rate falls, "
                "as in '10, 20', since lr_scheduler is step"
            )
        if self.epsilon == 0 and needs_epsilon(self.optimizer, self.initial_accumulator_value):
            raise ValueError(
                f"epsilon: got 0, expected a number above 0, since optimizer is {self.optimizer}"
            )
        if self.optimizer == "nag" and self.momentum == 0:
            raise ValueError("momentum: got 0, expected a number in (0, 1], since optimizer is nag")
        return self
