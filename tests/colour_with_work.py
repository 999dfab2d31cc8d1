"""The colour classifier with some milliseconds of work before its answer, so that requests meet."""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.tiny_models import LABELS, SIZE, colour_config, write_colour_model
from trainer.publishing import publish

_WIDTH = 512
_STEPS = 600


def publish_slow_colour_model(repository: Path, name: str, scheduling: str) -> None:
    """Publish it with `scheduling`, text of config.pbtxt, instead of empty dynamic batching."""
    publish(repository, colour_config(name), LABELS, write_slow_colour_model)
    config = repository / name / "config.pbtxt"
    text = config.read_text()
    empty = "dynamic_batching {\n}\n"
    assert empty in text
    config.write_text(text.replace(empty, scheduling))


def write_slow_colour_model(path: Path) -> None:
    """The colour classifier's graph, to whose logits a long chain of products adds zero."""
    write_colour_model(path)
    model = onnx.load(path)
    graph = model.graph
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 1 / np.sqrt(_WIDTH), (_WIDTH, _WIDTH)).astype(np.float32)
    widen = rng.normal(0, 1e-3, (SIZE * SIZE * 3, _WIDTH)).astype(np.float32)
    narrow = np.zeros((_WIDTH, len(LABELS)), np.float32)
    constants = {"weights": weights, "widen": widen, "narrow": narrow}
    constants["flat"] = np.array([-1, SIZE * SIZE * 3], np.int64)
    graph.initializer.extend(numpy_helper.from_array(one, name) for name, one in constants.items())
    nodes = [
        helper.make_node("Reshape", ["float", "flat"], ["pixels"]),
        helper.make_node("MatMul", ["pixels", "widen"], ["work0"]),
    ]
    for step in range(_STEPS):
        nodes.append(helper.make_node("MatMul", [f"work{step}", "weights"], [f"product{step}"]))
        nodes.append(helper.make_node("Tanh", [f"product{step}"], [f"work{step + 1}"]))
    nodes.append(helper.make_node("MatMul", [f"work{_STEPS}", "narrow"], ["zero"]))
    nodes.append(helper.make_node("Add", ["logits", "zero"], ["slow_logits"]))
    softmax = next(node for node in graph.node if node.op_type == "Softmax")
    softmax.input[0] = "slow_logits"
    before, after = list(graph.node)[:-1], list(graph.node)[-1:]
    assert after == [softmax]
    del graph.node[:]
    graph.node.extend([*before, *nodes, *after])
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
