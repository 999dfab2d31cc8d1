"""What each command of `aperture-train` is told besides hyperparameters. Imports nothing heavy."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from contract.errors import RepositoryError
from contract.locations import Bucket, Location, parse_location
from contract.options import LocalPath, Options
from contract.precision import MAX_LOSS
from contract.repository import check_model_name
from trainer.tasks import TaskName


def _checked_name(name: str) -> str:
    try:
        return check_model_name(name)
    except RepositoryError as err:
        raise ValueError(str(err)) from err


Place = Annotated[Location, BeforeValidator(parse_location)]
ModelName = Annotated[str, AfterValidator(_checked_name)]
SplitName = Literal["train", "validation", "test"]

_MAX_LOSS_TEXT = (
    "How much of the validation metric, in [0, 1], a server may lose by a lower precision than fp32"
)
_CACHE_TEXT = (
    "With a dataset in a bucket, folder for its copy, kept for the next command, which copies only "
    "what changed; a temporary one if not given"
)


class FitSettings(Options):
    """Options of `aperture-train fit`."""

    task: TaskName = Field(description="What the model does")
    data: Place = Field(
        description="Dataset with train/, validation/ and perhaps test/: a folder, or "
        "s3://BUCKET/PREFIX"
    )
    data_cache_dir: LocalPath | None = Field(default=None, description=_CACHE_TEXT)
    model_repository: Place = Field(
        description="Where the finished model is published: a folder, or s3://BUCKET/PREFIX"
    )
    name: ModelName = Field(description="Name of the published model")
    output_dir: LocalPath | None = Field(
        default=None, description="Checkpoints, logs and metrics of the run; runs/NAME if not given"
    )
    tensorboard_dir: LocalPath | None = Field(
        default=None, description="TensorBoard's event files; OUTPUT_DIR/tensorboard if not given"
    )
    checkpoint_input: LocalPath | None = Field(
        default=None,
        description=(
            "A former run's folder: the same training goes on there, another one starts with its "
            "newest weights, or its best where it keeps them"
        ),
    )
    skip_bad_images: bool = Field(
        default=False, description="Leave out files that are no readable pictures, and go on"
    )
    restart: bool = Field(
        default=False,
        description="Delete the former run's checkpoints, metrics and logs, and train anew",
    )
    max_precision_loss: float = Field(default=MAX_LOSS, ge=0, le=1, description=_MAX_LOSS_TEXT)

    @property
    def run_dir(self) -> Path:
        """The run's folder: `output_dir`, or runs/NAME."""
        return self.output_dir if self.output_dir is not None else Path("runs") / self.name

    @property
    def event_dir(self) -> Path:
        """The folder of TensorBoard's event files."""
        return self.tensorboard_dir or self.run_dir / "tensorboard"


class ExportSettings(Options):
    """Options of `aperture-train export`."""

    checkpoint: LocalPath = Field(description="Checkpoint folder, or a run's output folder")
    model_repository: Place = Field(
        description="Where the model is published: a folder, or s3://BUCKET/PREFIX"
    )
    name: ModelName = Field(description="Name of the published model")
    data: Annotated[Location | None, BeforeValidator(parse_location)] = Field(
        default=None,
        description="Dataset folder, or s3://BUCKET/PREFIX, on whose validation/ the precisions that this machine can "
        "serve are measured; without it the run's own measurement is published, if there is one",
    )
    data_cache_dir: LocalPath | None = Field(default=None, description=_CACHE_TEXT)
    skip_bad_images: bool = Field(
        default=False, description="Leave out files that are no readable pictures, and go on"
    )
    max_precision_loss: float = Field(default=MAX_LOSS, ge=0, le=1, description=_MAX_LOSS_TEXT)
    int8: bool = Field(
        default=False,
        description="Publish the graph quantised to int8, if it loses no more than that beside "
        "fp32",
    )
    calibration_pictures: int = Field(
        default=128,
        ge=1,
        description="Pictures of the --data's train/ that --int8 is calibrated on",
    )
    tensorrt: bool = Field(
        default=False,
        description="Name tensorrt in config.pbtxt and build its engines, on a machine with the "
        "GPU that will serve",
    )

    @model_validator(mode="after")
    def _int8_alone_with_data(self) -> "ExportSettings":
        if self.int8 and self.data is None:
            raise ValueError("--int8 needs --data: it is calibrated and measured on its pictures")
        if self.int8 and self.tensorrt:
            raise ValueError("--int8 is made for CPUs and --tensorrt for GPUs; give one of them")
        if self.tensorrt and isinstance(self.model_repository, Bucket):
            raise ValueError(
                "--tensorrt leaves engines in the version's folder, which a bucket is not; give a "
                "folder, or let servers build them in their --engine_cache_dir"
            )
        return self


class EvaluateSettings(Options):
    """Options of `aperture-train evaluate`."""

    alternatives: ClassVar[frozenset[str]] = frozenset({"checkpoint", "model_repository", "url"})

    task: TaskName = Field(default="image-classification", description="What the model does")
    data: Place = Field(description="Dataset folder, or s3://BUCKET/PREFIX")
    data_cache_dir: LocalPath | None = Field(default=None, description=_CACHE_TEXT)
    split: SplitName = Field(default="test", description="Part of the dataset")
    checkpoint: LocalPath | None = Field(
        default=None, description="Evaluate this checkpoint folder, or a run's newest checkpoint"
    )
    model_repository: Annotated[Location | None, BeforeValidator(parse_location)] = Field(
        default=None, description="Evaluate the published model --name of this repository"
    )
    url: str | None = Field(
        default=None, description="Evaluate the model --name of this running endpoint"
    )
    name: str | None = Field(default=None, description="Name of the published or served model")
    version: int | None = Field(
        default=None, ge=1, description="Published version; the newest if not given"
    )
    batch_size: int = Field(default=16, ge=1, description="Pictures of one execution or request")
    skip_bad_images: bool = Field(
        default=False, description="Leave out files that are no readable pictures, and go on"
    )
    output: LocalPath | None = Field(
        default=None, description="Write the metrics to this JSON file"
    )

    @model_validator(mode="after")
    def _one_source(self) -> "EvaluateSettings":
        sources = [self.checkpoint, self.model_repository, self.url]
        if sum(source is not None for source in sources) != 1:
            raise ValueError("expected exactly one of --checkpoint, --model_repository and --url")
        if self.checkpoint is None and self.name is None:
            raise ValueError("name: required with --model_repository and --url, but not given")
        return self


class SampleDataSettings(Options):
    """Options of `aperture-train sample-data`."""

    task: TaskName = Field(default="image-classification", description="What to draw a dataset for")
    size: int = Field(default=64, ge=16, le=1024, description="Height and width in pixels")
    count: int = Field(default=120, ge=2, description="Training pictures of each label")
    labels: int = Field(default=4, ge=2, le=6, description="Number of labels")
    seed: int = Field(default=42, ge=0, description="Seed of everything random")
