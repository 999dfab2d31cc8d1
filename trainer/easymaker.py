"""AI EasyMaker's own-algorithm container -> the options of `fit`.

EasyMaker mounts each dataset by its name and tells the container everything in variables:

    EM_DATASET_TRAIN, _VALIDATION, _TEST, _RESOURCES   folders, which hold the split or are it
    EM_HP_LEARNING_RATE, ...                           hyperparameters, also given as flags
    EM_MODEL_DIR                                       becomes the Triton model folder itself
    EM_CHECKPOINT_DIR, EM_CHECKPOINT_INPUT_DIR         the run's folder, and a former run's
    EM_TENSORBOARD_LOG_DIR                             TensorBoard's event files

Source: NHN Cloud's AI EasyMaker console guide, appendix 3 to 6.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contract.errors import OptionsError
from trainer.datasets.dataset import TEST, TRAIN, VALIDATION
from trainer.settings import FitSettings

HYPERPARAMETER_PREFIX: Final = "EM_HP_"
RESOURCES: Final = "resources"

_DATASET_PREFIX = "EM_DATASET_"
_MODEL_DIR = "EM_MODEL_DIR"
_DATA_FOLDER = "data"


@dataclass(frozen=True, slots=True)
class Container:
    """An EasyMaker container.

    Attributes:
        datasets: The mounted folder of each split, and of the resources.
        model_dir: Where the model folder is to be.
        checkpoint_dir: The run's folder.
        checkpoint_input_dir: A former run's folder, or None.
        tensorboard_dir: The folder of the event files, or None.
        given: What the job's hyperparameters say, options of `fit` such as `task` among them.
    """

    datasets: Mapping[str, Path]
    model_dir: Path
    checkpoint_dir: Path
    checkpoint_input_dir: Path | None
    tensorboard_dir: Path | None
    given: Mapping[str, str]

    def settings(self) -> dict[str, object]:
        """What the container says of `fit`'s own options."""
        places: dict[str, object] = {
            "data": self.checkpoint_dir / _DATA_FOLDER,
            "model_repository": self.model_dir.parent,
            "name": self.model_dir.name,
            "output_dir": self.checkpoint_dir,
        }
        if self.checkpoint_input_dir is not None and self.checkpoint_input_dir.is_dir():
            places["checkpoint_input"] = self.checkpoint_input_dir
        if self.tensorboard_dir is not None:
            places["tensorboard_dir"] = self.tensorboard_dir
        options = FitSettings.model_fields
        return places | {name: value for name, value in self.given.items() if name in options}

    def hyperparameters(self) -> dict[str, str]:
        """What the container says of the hyperparameters."""
        options = FitSettings.model_fields
        return {name: value for name, value in self.given.items() if name not in options}


def read_container(environ: Mapping[str, str]) -> Container | None:
    """The container that the variables describe, or None outside of EasyMaker.

    Raises:
        OptionsError: There is a model folder, but no training dataset.
    """
    if _MODEL_DIR not in environ:
        return None
    names = (TRAIN, VALIDATION, TEST, RESOURCES)
    datasets = {
        name: _split_folder(Path(environ[variable]), name)
        for name in names
        if (variable := f"{_DATASET_PREFIX}{name.upper()}") in environ
    }
    if TRAIN not in datasets:
        raise OptionsError([f"{_MODEL_DIR} is set, but {_DATASET_PREFIX}TRAIN is not"])
    model_dir = Path(environ[_MODEL_DIR])
    folders = {
        name: Path(environ[variable])
        for name, variable in {
            "checkpoint": "EM_CHECKPOINT_DIR",
            "input": "EM_CHECKPOINT_INPUT_DIR",
            "tensorboard": "EM_TENSORBOARD_LOG_DIR",
        }.items()
        if environ.get(variable)
    }
    return Container(
        datasets=datasets,
        model_dir=model_dir,
        checkpoint_dir=folders.get("checkpoint", model_dir.parent / "checkpoints"),
        checkpoint_input_dir=folders.get("input"),
        tensorboard_dir=folders.get("tensorboard"),
        given={
            variable.removeprefix(HYPERPARAMETER_PREFIX).lower(): value
            for variable, value in environ.items()
            if variable.startswith(HYPERPARAMETER_PREFIX)
        },
    )


def prepare(container: Container) -> None:
    """Lay the mounted datasets side by side, by links.

    Raises:
        OptionsError: A folder of them cannot be written.
    """
    data = container.checkpoint_dir / _DATA_FOLDER
    try:
        data.mkdir(parents=True, exist_ok=True)
        for name, folder in container.datasets.items():
            link = data / name
            link.unlink(missing_ok=True)
            link.symlink_to(folder.resolve(), target_is_directory=True)
    except OSError as err:
        raise OptionsError([f"{container.checkpoint_dir}: {err.strerror or err}"]) from err


def _split_folder(mounted: Path, name: str) -> Path:
    """The split's folder: below the mounted one if that holds a folder of the name, or itself."""
    return mounted / name if (mounted / name).is_dir() else mounted
