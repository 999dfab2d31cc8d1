"""What `aperture-train train` is told besides the container's own files. Imports nothing heavy."""

from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from contract.options import LocalPath, Options
from trainer.sagemaker.folders import BASE_DIR
from trainer.settings import ModelName
from trainer.tasks import TaskName

PORT: Final = 7777
"""SageMaker's own toolkit has its processes meet at this one."""

_DETECTION_MODELS: Final = "tensorflow-od1-"


def _algorithm(value: object) -> object:
    """An algorithm by the name of AWS's image or model, such as .../image-classification:1."""
    if not isinstance(value, str):
        return value
    name = value.rpartition("/")[2].partition(":")[0]
    return "object-detection" if name.startswith(_DETECTION_MODELS) else name


class TrainSettings(Options):
    """Options of `aperture-train train`."""

    algorithm: Annotated[TaskName, BeforeValidator(_algorithm)] = Field(
        description="SageMaker's algorithm; the URI of its image or the id of a detection model too"
    )
    base_dir: LocalPath = Field(
        default=BASE_DIR, description="The container's folder; SAGEMAKER_BASE_DIR if not given"
    )
    name: ModelName = Field(default="model", description="Name of the model in its repository")
    archive: LocalPath | None = Field(
        default=None,
        description="Write the model folder into this model.tar.gz too, as SageMaker itself would",
    )
    workspace: LocalPath | None = Field(
        default=None,
        description="Folder of this job alone for streamed channels, fetched objects and the "
        "unpacked model channel; a temporary one if not given",
    )
    processes: int | None = Field(
        default=None, ge=1, description="Processes of each host; by default one a GPU, or one"
    )
    master_port: int = Field(
        default=PORT, ge=1, lt=1 << 16, description="Port of the first host that all hosts meet at"
    )
    skip_bad_images: bool = Field(
        default=False, description="Leave out files that are no readable pictures, and go on"
    )
    restart: bool = Field(
        default=False, description="Delete what is in the checkpoint folder, and train anew"
    )
