"""Picture files -> a model's outputs: from a checkpoint, a published version or an endpoint.

All three see a picture through contract.pictures, the endpoint on its own side, and compute in
fp32, so that evaluation gives the same metrics whichever way it is asked.
"""

import base64
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Protocol

import httpx
import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from contract.errors import RepositoryError
from contract.labels import read_labels
from contract.model_config import LABELS_FILE, MODEL_FILE, Json, read_model_config
from contract.pictures import decode_picture
from contract.repository import check_model_name, list_versions
from trainer.checkpoints import Checkpoint
from trainer.errors import EndpointError
from trainer.tasks import load_task
from trainer.tasks.task import Outputs, Task

REQUEST_TIMEOUT_S: Final = 120.0


class Predictor(Protocol):
    """A model, wherever it runs."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names in the order of the outputs."""

    def predict(self, files: Sequence[bytes]) -> Outputs:
        """The outputs for one batch of picture files."""


class CheckpointPredictor:
    """The fp32 model of a checkpoint, in torch."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        task = load_task(checkpoint.origin.task)
        self.labels = checkpoint.labels
        self._size = checkpoint.input_size
        self._names = [spec.name for spec in task.tensors(self._size, self.labels)[1]]
        self._module = task.serving_module(task.load_model(checkpoint.folder)).eval()

    def predict(self, files: Sequence[bytes]) -> Outputs:
        """Run the model on decoded pictures."""
        image = torch.from_numpy(_decode(files, self._size, self._size))
        with torch.inference_mode():
            outputs = self._module(image)
        return {name: output.numpy() for name, output in zip(self._names, outputs, strict=True)}


class PublishedPredictor:
    """A published version, in onnxruntime."""

    def __init__(self, repository: Path, name: str, version: int | None) -> None:
        model_dir = repository / check_model_name(name)
        versions = list_versions(model_dir)
        if not versions or (version is not None and version not in versions):
            raise RepositoryError(
                f"{model_dir}: no version {version or ''}".rstrip()
                + f"; published are {', '.join(map(str, versions)) or 'none'}"
            )
        config = read_model_config(model_dir)
        self.labels = read_labels(model_dir / LABELS_FILE)
        self._height, self._width, _ = config.inputs[0].dims
        self._input = config.inputs[0].name
        self._names = [spec.name for spec in config.outputs]
        self._session = onnxruntime.InferenceSession(
            model_dir / str(version or versions[-1]) / MODEL_FILE,
            providers=["CPUExecutionProvider"],
        )

    def predict(self, files: Sequence[bytes]) -> Outputs:
        """Run the graph on decoded pictures."""
        image = _decode(files, self._height, self._width)
        outputs = self._session.run(self._names, {self._input: image})
        return dict(zip(self._names, outputs, strict=True))


class EndpointPredictor:
    """A served model, over KServe's V1 protocol."""

    def __init__(self, client: httpx.Client, url: str, name: str, task: Task, probe: bytes) -> None:
        self._url = f"{url.rstrip('/')}/v1/models/{check_model_name(name)}:predict"
        self._task = task
        self._client = client
        # The protocol has no way to ask for the labels, but every answer names them all.
        try:
            self.labels = task.predicted_labels(self._ask([probe])[0])
        except ValueError as err:
            raise EndpointError(self._url, f"answered {err}") from err

    def predict(self, files: Sequence[bytes]) -> Outputs:
        """Send the files as they are."""
        try:
            return self._task.parse_predictions(self._ask(files), self.labels)
        except ValueError as err:
            raise EndpointError(self._url, f"answered {err}") from err

    def _ask(self, files: Sequence[bytes]) -> list[Json]:
        instances = [{"data": base64.b64encode(file).decode("ascii")} for file in files]
        try:
            response = self._client.post(
                self._url, json={"instances": instances}, timeout=REQUEST_TIMEOUT_S
            )
            response.raise_for_status()
            answer: Json = response.json()
        except httpx.HTTPStatusError as err:
            status, text = err.response.status_code, err.response.text[:200]
            raise EndpointError(self._url, f"answered status {status}: {text}") from err
        except httpx.HTTPError as err:
            raise EndpointError(self._url, f"cannot be reached: {err}") from err
        except httpx.InvalidURL as err:
            raise EndpointError(self._url, f"is not a URL: {err}") from err
        match answer:
            case {"predictions": list() as predictions} if len(predictions) == len(files):
                return predictions
            case _:
                raise EndpointError(
                    self._url, f"answered without {len(files)} predictions: {str(answer)[:200]}"
                )


def _decode(files: Sequence[bytes], height: int, width: int) -> NDArray[np.uint8]:
    """RGB uint8 [B, height, width, 3], each picture in a thread of its own."""
    with ThreadPoolExecutor() as pool:
        pictures = pool.map(lambda data: decode_picture(data, height, width).pixels, files)
        return np.stack(list(pictures))
