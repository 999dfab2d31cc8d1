"""An onnxruntime backend for the tritonserver of nvidia-pytriton, which brings Python's alone.

It runs in that server's own Python, as the Python-based backend `onnxruntime`, so that the server
takes a config.pbtxt of platform onnxruntime_onnx as it stands. A model's file is opened at its
first request: most models of a test never get one.
"""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as triton


class TritonPythonModel:
    """One instance of a model's version; the names and arguments are Triton's."""

    def initialize(self, args: dict[str, str]) -> None:
        """Note where the version's ONNX file is."""
        file = json.loads(args["model_config"])["default_model_filename"]
        self._path = Path(args["model_repository"]) / args["model_version"] / file

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """A response to each request."""
        return [self._respond(request) for request in requests]

    @cached_property
    def _session(self) -> Any:
        import onnxruntime  # noqa: PLC0415  # half a second for each instance of each model

        return onnxruntime.InferenceSession(self._path, providers=["CPUExecutionProvider"])

    def _respond(self, request: Any) -> Any:
        feed = {tensor.name(): _of_graph(tensor.as_numpy()) for tensor in request.inputs()}
        names = list(request.requested_output_names())
        arrays = self._session.run(names, feed)
        outputs = [triton.Tensor(*pair) for pair in zip(names, arrays, strict=True)]
        return triton.InferenceResponse(outputs)


def _of_graph(array: Any) -> Any:
    """Triton's strings are bytes; onnxruntime's are text."""
    if array.dtype != np.object_:
        return array
    texts = [element.decode() for element in array.ravel()]
    return np.array(texts, np.object_).reshape(array.shape)
