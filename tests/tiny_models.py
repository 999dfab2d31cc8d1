"""Tiny classifiers of known arithmetic, made with onnx.helper: no training, no download."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from contract.locations import Location
from contract.model_config import ModelConfig, TensorSpec, make_model_config
from tests.onnx_graphs import write_graph
from trainer.publishing import PublishedVersion, publish

LABELS = ("red", "green", "blue")
SIZE = 8


def colour_config(name: str, max_batch_size: int = 8) -> ModelConfig:
    """The configuration of the colour classifier."""
    return make_model_config(
        name,
        max_batch_size,
        (TensorSpec("image", "UINT8", (SIZE, SIZE, 3)),),
        (TensorSpec("scores", "FP32", (len(LABELS),), "labels.txt"),),
        {"task": "image-classification", "resize": "squash"},
    )


def write_colour_model(path: Path, scale: float = 16) -> None:
    """A graph image[N, 8, 8, 3] -> scores[N, 3]: the softmax of the mean colour / scale."""
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("Div", ["mean", "scale"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "colour",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", len(LABELS)])],
        [
            numpy_helper.from_array(np.array([1, 2], np.int64), "axes"),
            numpy_helper.from_array(np.array(scale, np.float32), "scale"),
        ],
    )
    write_graph(path, graph)


def publish_colour_model(repository: Path, name: str, max_batch_size: int = 8) -> Path:
    """Publish the colour classifier as the next version of `name`; the model's folder."""
    publish(repository, colour_config(name, max_batch_size), LABELS, write_colour_model)
    return repository / name


def publish_colour(place: Location, scale: float = 16, name: str = "m") -> PublishedVersion:
    """Publish it at a scale, by which a version's answers are told from another's."""
    return publish(place, colour_config(name), LABELS, partial(write_colour_model, scale=scale))


def colour_scores(pixels: NDArray[np.uint8], scale: float = 16) -> NDArray[np.float64]:
    """What the colour classifier must answer to pixels[N, 8, 8, 3], computed in numpy."""
    logits = pixels.astype(np.float64).mean(axis=(1, 2)) / scale
    exp = np.exp(logits - logits.max(axis=-1, keepdims=True))
    scores: NDArray[np.float64] = exp / exp.sum(axis=-1, keepdims=True)
    return scores
