"""A tiny detector of known arithmetic, made with onnx.helper: no training, no download."""

from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from contract.model_config import TensorSpec, make_model_config
from tests.onnx_graphs import write_graph
from tests.tiny_models import LABELS, SIZE
from trainer.publishing import publish

BOXES: Final = np.array(
    [[0, 0, 0.5, 0.25], [0.25, 0.5, 1, 1], [0.125, 0.25, 0.375, 0.5], [0.5, 0, 1.5, 0.75]],
    np.float32,
)
"""The boxes of its four queries, xyxy; the last leaves the picture."""

CLASSES: Final = (0, 1, 2, 1)


def publish_colour_detector(repository: Path, name: str) -> None:
    """Publish a model of four fixed boxes, the scores of which are the mean red, green, blue, red."""
    queries = len(BOXES)
    config = make_model_config(
        name,
        8,
        (TensorSpec("image", "UINT8", (SIZE, SIZE, 3)), TensorSpec("size", "INT32", (2,))),
        (
            TensorSpec("boxes", "FP32", (queries, 4)),
            TensorSpec("scores", "FP32", (queries,)),
            TensorSpec("labels", "INT32", (queries,), "labels.txt"),
        ),
        {"task": "object-detection", "resize": "pad", "threshold": "0.5"},
    )
    publish(repository, config, LABELS, partial(write_graph, graph=_graph()))


def detector_scores(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What the detector must answer to pixels[8, 8, 3], computed in numpy."""
    means = pixels.astype(np.float64).mean(axis=(0, 1)) / 255
    scores: NDArray[np.float64] = means[[0, 1, 2, 0]]
    return scores


def _graph() -> onnx.GraphProto:
    """image[N, 8, 8, 3], size[N, 2] -> boxes[N, 4, 4], scores[N, 4], labels[N, 4]."""
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["means"], keepdims=0),
        helper.make_node("Gather", ["means", "channels"], ["chosen"], axis=1),
        helper.make_node("Div", ["chosen", "white"], ["scores"]),
        helper.make_node("Shape", ["size"], ["batch"], end=1),
        helper.make_node("Concat", ["batch", "box_dims"], ["boxes_shape"], axis=0),
        helper.make_node("Expand", ["box_rows", "boxes_shape"], ["boxes"]),
        helper.make_node("Concat", ["batch", "label_dims"], ["labels_shape"], axis=0),
        helper.make_node("Expand", ["label_rows", "labels_shape"], ["labels"]),
    ]
    constants: dict[str, NDArray[np.generic]] = {
        "axes": np.array([1, 2], np.int64),
        "channels": np.array([0, 1, 2, 0], np.int64),
        "white": np.array(255, np.float32),
        "box_dims": np.array(BOXES.shape, np.int64),
        "box_rows": BOXES[None],
        "label_dims": np.array([len(CLASSES)], np.int64),
        "label_rows": np.array([CLASSES], np.int32),
    }
    queries = len(BOXES)
    return helper.make_graph(
        nodes,
        "boxes",
        [
            helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIZE, SIZE, 3]),
            helper.make_tensor_value_info("size", TensorProto.INT32, ["batch", 2]),
        ],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["batch", queries, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", queries]),
            helper.make_tensor_value_info("labels", TensorProto.INT32, ["batch", queries]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
