"""Where a SageMaker container's files lie, below /opt/ml or SAGEMAKER_BASE_DIR."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

BASE_DIR: Final = Path("/opt/ml")


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders and files of a training container.

    Source: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo.html
    """

    base: Path = BASE_DIR

    @property
    def config(self) -> Path:
        """hyperparameters.json, inputdataconfig.json and resourceconfig.json."""
        return self.base / "input" / "config"

    @property
    def data(self) -> Path:
        """A folder for each channel, or its FIFOs."""
        return self.base / "input" / "data"

    @property
    def model(self) -> Path:
        """What becomes model.tar.gz: here a model repository."""
        return self.base / "model"

    @property
    def output_data(self) -> Path:
        """What becomes output.tar.gz: here the metrics."""
        return self.base / "output" / "data"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files."""
        return self.base / "output" / "tensorboard"

    @property
    def checkpoints(self) -> Path:
        """What a job that is started again finds as it left it: here the run's folder."""
        return self.base / "checkpoints"

    @property
    def failure(self) -> Path:
        """The reason of a failure, of which SageMaker shows the first 1024 characters."""
        return self.base / "output" / "failure"

    @property
    def success(self) -> Path:
        """An empty file of a job that is done."""
        return self.base / "output" / "success"
