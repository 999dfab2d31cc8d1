import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import onnxruntime as ort
import pytest

from contract.model_config import ModelConfig, TensorSpec, empty_model_config, parse_model_config
from server.autocomplete import check_origin, complete
from server.errors import LoadError
from server.graph import Graph, read_graph
from tests.onnx_graphs import ELEMENT_OF_DATATYPE, Through, identity_graph, sum_graph

PATH = Path("model.onnx")
PAIR = Through("", "FP32", ["n", 2])


def graph_of(*tensors: Through) -> Graph:
    session = ort.InferenceSession(identity_graph(*tensors).SerializeToString())
    return read_graph(session)


def completed(text: str, *tensors: Through) -> ModelConfig:
    return complete(parse_model_config(text).renamed("m"), graph_of(*tensors), PATH)


def test_everything_is_completed_from_the_graph() -> None:
    config = complete(empty_model_config("m"), graph_of(PAIR), PATH)
    assert config.inputs == (TensorSpec("x", "FP32", (2,)),)
    assert config.outputs == (TensorSpec("y", "FP32", (2,)),)
    printed = config.to_json()
    assert printed["max_batch_size"] == 4
    assert "dynamic_batching" in printed
    assert printed["platform"] == "onnxruntime_onnx"
    assert printed["backend"] == "onnxruntime"
    assert printed["default_model_filename"] == "model.onnx"
    assert printed["version_policy"] == {"latest": {"num_versions": 1}}


@pytest.mark.parametrize("datatype", ELEMENT_OF_DATATYPE)
def test_each_datatype_has_its_name(datatype: str) -> None:
    config = completed("{}", Through("", datatype, ["n", 2]))
    assert config.inputs[0].datatype == config.outputs[0].datatype == datatype


@pytest.mark.parametrize(
    ("shape", "max_batch_size", "dims"),
    [
        (["n", 3, "w"], 4, (3, -1)),
        ([None, None], 4, (-1,)),
        ([1, 3], 0, (1, 3)),
        ([2, "w"], 0, (2, -1)),
        ([], 0, (1,)),
    ],
)
def test_a_dynamic_first_axis_of_every_tensor_is_the_batch(
    shape: Sequence[int | str | None], max_batch_size: int, dims: tuple[int, ...]
) -> None:
    config = completed("{}", Through("", "FP32", shape))
    assert (config.max_batch_size, config.inputs[0].dims) == (max_batch_size, dims)
    assert ("dynamic_batching" in config.to_json()) == (max_batch_size > 0)


def test_one_tensor_without_a_batch_axis_makes_a_model_without_batches() -> None:
    config = completed("{}", Through("a", "FP32", ["n", 2]), Through("b", "FP32", [2]))
    assert config.max_batch_size == 0
    assert [spec.dims for spec in config.inputs] == [(-1, 2), (2,)]


def test_a_tensor_of_nothing_but_the_batch_has_tritons_reshape() -> None:
    config = completed("{}", Through("", "INT64", ["n"]))
    assert config.inputs == (TensorSpec("x", "INT64", (1,), reshape=()),)
    (printed,) = cast(list[dict[str, object]], config.to_json()["input"])
    assert (printed["dims"], printed["reshape"]) == ([1], {"shape": []})
    again = complete(config, graph_of(Through("", "INT64", ["n"])), PATH)
    assert again.inputs == config.inputs


def test_what_is_given_in_part_is_completed() -> None:
    text = '{"max_batch_size": 16, "input": [{"name": "x"}], "parameters": {"k": {"string_value": "v"}}}'
    config = completed(text, PAIR)
    assert config.max_batch_size == 16
    assert config.inputs == (TensorSpec("x", "FP32", (2,)),)
    assert config.parameters == {"k": "v"}
    labelled = '{"output": [{"name": "y", "label_filename": "l.txt"}]}'
    assert completed(labelled, PAIR).outputs == (TensorSpec("y", "FP32", (2,), "l.txt"),)


def test_a_config_that_says_all_keeps_its_batch_size() -> None:
    text = """{"input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [5, 2]}],
        "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [-1, 2]}]}"""
    config = completed(text, PAIR)
    assert config.max_batch_size == 0
    assert config.inputs[0].dims == (5, 2)
    assert "dynamic_batching" not in config.to_json()


def test_a_negative_batch_size_is_refused() -> None:
    with pytest.raises(LoadError, match="'max_batch_size' must be non-negative value"):
        completed('{"max_batch_size": -1}', PAIR)


@pytest.mark.parametrize(
    ("dims", "reshape", "fits"),
    [
        ([2, 3], [6], True),
        ([6], [2, 3], True),
        ([2, 4], [6], False),
        ([1, 1], [], True),
        ([2], [], False),
        ([2, -1, 3], [2, -1, 3, 1], True),
        ([2, -1, 3], [3, -1, 2], False),
        ([-1], [6], False),
    ],
)
def test_a_reshape_has_the_elements_of_the_dims(
    dims: list[int], reshape: list[int], fits: bool
) -> None:
    entry = {"name": "y", "data_type": "TYPE_FP32", "dims": dims, "reshape": {"shape": reshape}}
    shape = ["n", *(None if size < 0 else size for size in reshape)]
    text = json.dumps({"max_batch_size": 2, "output": [entry]})
    if fits:
        (output,) = completed(text, Through("", "FP32", shape)).outputs
        assert (output.dims, output.reshape) == (tuple(dims), tuple(reshape))
    else:
        with pytest.raises(LoadError, match="'y' has different size for dims and reshape"):
            completed(text, Through("", "FP32", shape))


def test_some_outputs_may_be_left_out() -> None:
    text = '{"output": [{"name": "yb"}]}'
    config = completed(text, Through("a", "FP32", ["n"]), Through("b", "FP32", ["n", 2]))
    assert [spec.name for spec in config.outputs] == ["yb"]
    assert [spec.name for spec in config.inputs] == ["xa", "xb"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"input": [{"name": "z"}]}', "has no input 'z' of config.pbtxt; it has x"),
        ('{"output": [{"name": "x"}]}', "has no output 'x'"),
        (
            '{"input": [{"name": "x", "data_type": "TYPE_INT8"}]}',
            r"input 'x' is FP32 \[-1, 2\]; config.pbtxt says INT8 \[batch, 2\]",
        ),
        ('{"input": [{"name": "x", "dims": [3]}]}', r"config.pbtxt says FP32 \[batch, 3\]"),
        ('{"input": [{"name": "x", "dims": [-1]}]}', r"config.pbtxt says FP32 \[batch, -1\]"),
        ('{"output": [{"name": "y", "dims": [2, 2]}]}', "output 'y' is"),
    ],
)
def test_what_contradicts_the_graph_is_refused_by_the_tensors_name(text: str, message: str) -> None:
    with pytest.raises(LoadError, match=message):
        completed(text, PAIR)


def test_an_input_that_the_config_leaves_out_is_refused() -> None:
    tensors = Through("a", "FP32", ["n"]), Through("b", "FP32", ["n"])
    with pytest.raises(LoadError, match=r"its input 'xb' is not in config\.pbtxt"):
        completed('{"input": [{"name": "xa"}]}', *tensors)


def test_batches_of_a_graph_of_a_fixed_first_axis_are_refused_in_tritons_words() -> None:
    fixed = Through("", "FP32", [1, 2])
    message = r"autofill failed for model 'm': model does not support batching .* tensor 'x'"
    with pytest.raises(LoadError, match=message):
        completed('{"max_batch_size": 2}', fixed)
    text = """{"max_batch_size": 2, "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [2]}],
        "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [2]}]}"""
    with pytest.raises(LoadError, match=r"input 'x' is FP32 \[1, 2\]"):
        completed(text, fixed)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"platform": "tensorrt_plan"}', "platform 'tensorrt_plan' is not served"),
        ('{"backend": "python"}', "backend 'python' is not served; .* 'onnxruntime'"),
        ('{"sequence_batching": {}}', "sequence_batching is not served"),
        ('{"platform": "ensemble", "ensemble_scheduling": {}}', "platform 'ensemble'"),
    ],
)
def test_models_of_other_kinds_are_refused(text: str, message: str) -> None:
    with pytest.raises(LoadError, match=message):
        check_origin(parse_model_config(text))


@pytest.mark.parametrize(
    "text", ["{}", '{"platform": "onnxruntime_onnx", "backend": "onnxruntime"}']
)
def test_onnx_models_are_served(text: str) -> None:
    check_origin(parse_model_config(text))


def default_graph() -> Graph:
    return read_graph(ort.InferenceSession(sum_graph().SerializeToString()))


def test_an_initializer_is_an_input_where_config_names_it() -> None:
    graph = default_graph()
    assert [tensor.name for tensor in graph.defaults] == ["bias"]
    assert [spec.name for spec in complete(empty_model_config("m"), graph, PATH).inputs] == ["x"]
    text = '{"max_batch_size": 2, "input": [{"name": "x"}, {"name": "bias", "optional": true}]}'
    config = complete(parse_model_config(text), graph, PATH)
    assert config.inputs == (
        TensorSpec("x", "FP32", (2,)),
        TensorSpec("bias", "FP32", (2,), optional=True),
    )


def test_an_input_that_the_graph_needs_is_not_optional(caplog: pytest.LogCaptureFixture) -> None:
    text = '{"max_batch_size": 2, "input": [{"name": "x", "optional": true}, {"name": "bias"}]}'
    config = complete(parse_model_config(text), default_graph(), PATH)
    assert [spec.optional for spec in config.inputs] == [False, False]
    assert "input 'x' is optional in config.pbtxt, but the graph has no value" in caplog.text
    assert '"optional": false' in json.dumps(config.to_json())
    assert '"optional": true' not in json.dumps(config.to_json())
