"""Picture files -> a model's outputs: from a checkpoint, a published version or an endpoint.

All three see a picture through contract.pictures, the endpoint on its own side. The first two
compute in fp32 (a version that was published in int8 in that), and so does an endpoint unless its
machine serves a lower precision, which may change the label of a picture whose best scores are
almost equal.
"""

import base64
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import httpx
import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray

from contract.choice import Choice
from contract.errors import ProviderError, RepositoryError
from contract.hardware import available_cpus
from contract.labels import read_labels
from contract.model_config import (
    LABELS_FILE,
    MODEL_FILE,
    Json,
    ModelConfig,
    read_model_config,
)
from contract.pictures import Picture, decode_picture
from contract.repository import check_model_name, list_versions
from contract.sessions import Launch, open_session
from trainer.checkpoints import Checkpoint
from trainer.errors import EndpointError
from trainer.pixel_size import sides
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
        self._task = load_task(checkpoint.origin.task)
        self.labels = checkpoint.labels
        self._size = checkpoint.input_size
        model = self._task.load_model(checkpoint.folder)
        self._inputs, self._outputs = self._task.tensors(model, self._size, self.labels)
        self._module = self._task.serving_module(model).eval()

    def predict(self, files: Sequence[bytes]) -> Outputs:
        """Run the model on decoded pictures."""
        inputs = prepare_inputs(self._task, files, *sides(self._size))
        with torch.inference_mode():
            outputs = self._module(*(torch.from_numpy(inputs[spec.name]) for spec in self._inputs))
        return {
            spec.name: output.numpy() for spec, output in zip(self._outputs, outputs, strict=True)
        }


class GraphPredictor:
    """An exported graph, in a session of onnxruntime."""

    def __init__(
        self,
        task: Task,
        config: ModelConfig,
        labels: tuple[str, ...],
        session: ort.InferenceSession,
    ) -> None:
        self.labels = labels
        self._task = task
        self._height, self._width, _ = config.inputs[0].dims
        self._names = [spec.name for spec in config.outputs]
        self._session = session

    def predict(self, files: Sequence[bytes]) -> Outputs:
        """Run the graph on decoded pictures.

        Raises:
            ProviderError: The session's provider cannot.
        """
        inputs = prepare_inputs(self._task, files, self._height, self._width)
        try:
            outputs = self._session.run(self._names, inputs)
        except Exception as err:  # onnxruntime's errors share no base class below Exception
            raise ProviderError(f"the graph cannot be run: {err}") from err
        return dict(zip(self._names, outputs, strict=True))


class PublishedPredictor(GraphPredictor):
    """A published version, on the CPU."""

    def __init__(self, task: Task, repository: Path, name: str, version: int | None) -> None:
        model_dir = repository / check_model_name(name)
        versions = list_versions(model_dir)
        if not versions or (version is not None and version not in versions):
            raise RepositoryError(
                f"{model_dir}: no version {version or ''}".rstrip()
                + f"; published are {', '.join(map(str, versions)) or 'none'}"
            )
        path = model_dir / str(version or versions[-1]) / MODEL_FILE
        cpu = Choice("cpu", "fp32", "evaluation")
        try:
            session = open_session(Launch(path, cpu, available_cpus()))
        except ProviderError as err:
            raise RepositoryError(str(err)) from err
        config, labels = read_model_config(model_dir), read_labels(model_dir / LABELS_FILE)
        super().__init__(task, config, labels, session)


class EndpointPredictor:
    """A served model, over KServe's V1 protocol."""

    def __init__(self, client: httpx.Client, url: str, name: str, task: Task) -> None:
        self._base = url.rstrip("/")
        self._predict = f"{self._base}/v1/models/{check_model_name(name)}:predict"
        self._task = task
        self._client = client
        self.labels = self._read_labels(f"{self._base}/v2/models/{name}/config")

    def predict(self, files: Sequence[bytes]) -> Outputs:
        """Send the files as they are."""
        pictures = _decode(self._task, files, 1, 1)  # for their sizes alone
        try:
            return self._task.parse_predictions(self._ask(files), self.labels, pictures)
        except ValueError as err:
            raise EndpointError(self._predict, f"answered {err}") from err

    def _read_labels(self, url: str) -> tuple[str, ...]:
        """The labels that the trainer wrote into the served configuration."""
        match self._call("GET", url):
            case {"parameters": {"labels": {"string_value": str(text)}}}:
                labels = json.loads(text)
            case _:
                labels = None
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise EndpointError(url, "names no labels; expected a model that Aperture published")
        return tuple(labels)

    def _ask(self, files: Sequence[bytes]) -> list[Json]:
        body: dict[str, Json] = {
            "instances": [{"data": base64.b64encode(file).decode("ascii")} for file in files]
        }
        if self._task.request_parameters:
            body["parameters"] = dict(self._task.request_parameters)
        match answer := self._call("POST", self._predict, body):
            case {"predictions": list() as predictions} if len(predictions) == len(files):
                return predictions
            case _:
                raise EndpointError(
                    self._predict, f"answered without {len(files)} predictions: {str(answer)[:200]}"
                )

    def _call(self, method: str, url: str, body: Json = None) -> Json:
        try:
            response = self._client.request(method, url, json=body, timeout=REQUEST_TIMEOUT_S)
            response.raise_for_status()
            answer: Json = response.json()
        except httpx.HTTPStatusError as err:
            status, text = err.response.status_code, err.response.text[:200]
            raise EndpointError(url, f"answered status {status}: {text}") from err
        except httpx.HTTPError as err:
            raise EndpointError(url, f"cannot be reached: {err}") from err
        except httpx.InvalidURL as err:
            raise EndpointError(url, f"is not a URL: {err}") from err
        except ValueError as err:
            raise EndpointError(url, f"answered what is not JSON: {err}") from err
        return answer


def prepare_inputs(
    task: Task, files: Sequence[bytes], height: int, width: int
) -> dict[str, NDArray[Any]]:
    """The graph's inputs [B, ...] for picture files."""
    rows = [task.prepare(picture) for picture in _decode(task, files, height, width)]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _decode(task: Task, files: Sequence[bytes], height: int, width: int) -> list[Picture]:
    """The pictures at the given size, each in a thread of its own."""
    with ThreadPoolExecutor(available_cpus()) as pool:
        decode = partial(decode_picture, height=height, width=width, fit=task.fit)
        return list(pool.map(decode, files))
