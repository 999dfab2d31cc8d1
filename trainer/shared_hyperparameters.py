"""Hyperparameters that detection and segmentation share, with EasyMaker's names and defaults."""

from pydantic import Field

from trainer.hyperparameters import Hyperparameters


class SharedHyperparameters(Hyperparameters):
    """What detection and segmentation share beyond what every task has."""

    learning_rate: float = Field(
        default=2e-4, ge=0, description="Peak learning rate of the optimizer"
    )
    per_device_eval_batch_size: int = Field(
        default=4, ge=1, description="Evaluated pictures a step, on each GPU or CPU process"
    )
    num_train_epochs: float = Field(
        default=3.0,
        ge=0,
        description=(
            "How often the whole training set is seen, in parts too; 0 publishes the weights that "
            "a training would start from"
        ),
    )
