"""Hyperparameters that several of SageMaker's algorithms have alike, but for the default of each.

They are types, not fields of a base class, so that each algorithm lists its own in the order of its
guide, with the default beside the name.
"""

from typing import Annotated, TypeAlias

from pydantic import Field

TrainingSamples: TypeAlias = Annotated[
    int,
    Field(
        gt=0,
        description="Pictures of the train channel; another number than found there is warned of",
    ),
]

Beta1: TypeAlias = Annotated[
    float, Field(ge=0, le=1, description="adam's decay of the mean gradient")
]
Beta2: TypeAlias = Annotated[
    float, Field(ge=0, le=1, description="adam's decay of the mean squared gradient")
]
SquaresDecay: TypeAlias = Annotated[
    float,
    Field(ge=0, le=1, description="rmsprop's decay of the mean squared gradient, `rho`"),
]

MinEpochs: TypeAlias = Annotated[
    int, Field(gt=0, description="Epochs before which it does not end")
]
Patience: TypeAlias = Annotated[
    int, Field(gt=0, description="Epochs without an improvement after which it ends")
]
Tolerance: TypeAlias = Annotated[
    float, Field(ge=0, le=1, description="Relative improvement that is none")
]
