"""A classifier that takes as long as its picture is bright: a black one nothing, a white one long."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.onnx_graphs import write_graph
from tests.tiny_models import LABELS, SIZE, colour_config
from trainer.publishing import publish

_STEPS_A_LEVEL = 16
_WIDTH = 128


def write_slow_model(path: Path, steps_a_level: int = _STEPS_A_LEVEL) -> None:
    """A graph image[N, 8, 8, 3] -> scores[N, 3], all equal, after some products a level."""
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["before", "weights"], ["product"]),
            helper.make_node("Tanh", ["product"], ["after"]),
            helper.make_node("Identity", ["condition"], ["go_on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("condition", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, [_WIDTH, _WIDTH]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, [_WIDTH, _WIDTH]),
        ],
    )
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMin", ["float"], ["darkest"], keepdims=0),
        helper.make_node("Mul", ["darkest", "steps_a_level"], ["steps_float"]),
        helper.make_node("Cast", ["steps_float"], ["steps"], to=TensorProto.INT64),
        helper.make_node("Loop", ["steps", "", "weights"], ["last"], body=body),
        helper.make_node("ReduceMax", ["last"], ["largest"], keepdims=0),
        helper.make_node("Mul", ["largest", "zero"], ["nothing"]),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["zeros"]),
        helper.make_node("Add", ["zeros", "nothing"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=-1),
    ]
    weights = np.random.default_rng(0).normal(0, 0.05, (_WIDTH, _WIDTH)).astype(np.float32)
    constants: dict[str, NDArray[Any]] = {
        "weights": weights,
        "steps_a_level": np.array(steps_a_level, np.float32),
        "zero": np.array(0, np.float32),
        "axes": np.array([1, 2], np.int64),
    }
    graph = helper.make_graph(
        nodes,
        "slow",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", len(LABELS)])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    write_graph(path, graph)


def publish_slow_model(repository: Path, name: str, steps_a_level: int = _STEPS_A_LEVEL) -> Path:
    """Publish it as the next version of `name`, which runs a picture at a time; the model's folder."""
    write = partial(write_slow_model, steps_a_level=steps_a_level)
    publish(repository, colour_config(name, 1), LABELS, write)
    return repository / name
