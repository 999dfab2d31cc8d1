"""Tiny segmenters of known arithmetic, made with onnx.helper: no training, no download."""

from functools import partial
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from contract.model_config import TensorSpec, make_model_config
from tests.onnx_graphs import write_graph
from tests.tiny_models import LABELS, SIZE
from trainer.publishing import publish

WHITE = 255


def publish_red_segmenter(repository: Path, name: str, labels: int) -> None:
    """Publish a model whose id of a pixel grows with its red, from 0 to `labels` - 1."""
    datatype = "UINT8" if labels <= 256 else "INT32"
    graph = _red_graph(getattr(TensorProto, datatype), labels)
    config = make_model_config(
        name,
        8,
        (TensorSpec("image", "UINT8", (SIZE, SIZE, 3)),),
        (TensorSpec("label_map", datatype, (SIZE, SIZE), "labels.txt"),),
        {"task": "semantic-segmentation", "resize": "squash"},
    )
    names = tuple(f"label {index}" for index in range(labels))
    publish(repository, config, names, partial(write_graph, graph=graph))


def publish_colour_segmenter(repository: Path, name: str) -> None:
    """Publish a model whose logits are the mean colours of 4 x 4 pixels, / 16."""
    config = make_model_config(
        name,
        8,
        (TensorSpec("image", "UINT8", (SIZE, SIZE, 3)),),
        (
            TensorSpec("label_map", "UINT8", (SIZE, SIZE), "labels.txt"),
            TensorSpec("logits", "FP32", (len(LABELS), SIZE // 4, SIZE // 4)),
        ),
        {"task": "semantic-segmentation", "resize": "squash"},
    )
    publish(repository, config, LABELS, partial(write_graph, graph=_colour_graph()))


def red_ids(pixels: NDArray[np.uint8], labels: int) -> NDArray[np.int64]:
    """What the segmenter must answer to pixels[..., 3], computed in numpy."""
    ids: NDArray[np.int64] = pixels[..., 0].astype(np.int64) * (labels - 1) // WHITE
    return ids


def _red_graph(kind: int, labels: int) -> onnx.GraphProto:
    """image[N, 8, 8, 3] -> label_map[N, 8, 8]: red * (labels - 1) / 255, rounded down."""
    nodes = [
        helper.make_node("Cast", ["image"], ["integers"], to=TensorProto.INT32),
        helper.make_node("Gather", ["integers", "red"], ["channel"], axis=3),
        helper.make_node("Mul", ["channel", "largest"], ["product"]),
        helper.make_node("Div", ["product", "white"], ["ids"]),
        helper.make_node("Cast", ["ids"], ["label_map"], to=kind),
    ]
    constants: dict[str, NDArray[np.generic]] = {
        "red": np.array(0, np.int64),
        "largest": np.array(labels - 1, np.int32),
        "white": np.array(WHITE, np.int32),
    }
    return helper.make_graph(
        nodes,
        "red",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("label_map", kind, ["batch", SIZE, SIZE])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )


def _colour_graph() -> onnx.GraphProto:
    """image[N, 8, 8, 3] -> logits[N, 3, 2, 2], and label_map[N, 8, 8], the largest, enlarged."""
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["means"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Div", ["means", "scale"], ["logits"]),
        helper.make_node("Resize", ["logits", "", "scales"], ["enlarged"], mode="linear"),
        helper.make_node("ArgMax", ["enlarged"], ["ids"], axis=1, keepdims=0),
        helper.make_node("Cast", ["ids"], ["label_map"], to=TensorProto.UINT8),
    ]
    constants: dict[str, NDArray[np.generic]] = {
        "scale": np.array(16, np.float32),
        "scales": np.array([1, 1, 4, 4], np.float32),
    }
    classes, small = len(LABELS), SIZE // 4
    return helper.make_graph(
        nodes,
        "colour",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIZE, SIZE, 3])],
        [
            helper.make_tensor_value_info("label_map", TensorProto.UINT8, ["batch", SIZE, SIZE]),
            helper.make_tensor_value_info(
                "logits", TensorProto.FLOAT, ["batch", classes, small, small]
            ),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
