"""A classifier that fails on any picture but a black one, which its warm-up is."""

from functools import partial
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.onnx_graphs import write_graph
from tests.tiny_models import LABELS, SIZE, colour_config
from trainer.publishing import publish


def publish_failing_model(repository: Path, name: str) -> None:
    """Publish it: it looks up the brightest sample in a table of one row."""
    nodes = [
        helper.make_node("Cast", ["image"], ["integers"], to=TensorProto.INT64),
        helper.make_node("ReduceMax", ["integers", "axes"], ["brightest"], keepdims=0),
        helper.make_node("Gather", ["table", "brightest"], ["scores"], axis=0),
    ]
    graph = helper.make_graph(
        nodes,
        "failing",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", len(LABELS)])],
        [
            numpy_helper.from_array(np.array([1, 2, 3], np.int64), "axes"),
            numpy_helper.from_array(np.ones((1, len(LABELS)), np.float32), "table"),
        ],
    )
    publish(repository, colour_config(name), LABELS, partial(write_graph, graph=graph))
