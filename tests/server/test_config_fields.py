from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor

from contract.model_config import parse_model_config
from contract.triton_schema import schema
from server.config_fields import FIELDS, HONOURED, PARAMETERS, refusal_of, set_paths, warnings_of

DOCUMENT = Path(__file__).parents[2] / "docs/repository.md"


def leaves(message: Descriptor, below: str = "") -> list[str]:
    """The paths of a message's fields down to where the table has an answer for all below."""
    found = []
    for field in message.fields:
        path = f"{below}.{field.name}" if below else field.name
        inner = field.message_type
        if inner is not None and inner.GetOptions().map_entry:
            inner = inner.fields_by_name["value"].message_type
        whole = path in FIELDS and FIELDS[path].fate != HONOURED
        if inner is None or whole or not inner.fields:
            found.append(path)
        else:
            found += leaves(inner, path)
    return found


def test_the_table_has_each_field_of_tritons_schema_and_no_other() -> None:
    assert sorted(leaves(schema().ModelConfig.DESCRIPTOR)) == sorted(FIELDS)


def test_what_is_not_honoured_says_why() -> None:
    for path, field in {**FIELDS, **PARAMETERS}.items():
        assert (field.why == "") == (field.fate == HONOURED), path


def test_the_document_lists_what_is_not_honoured() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    listed = {**FIELDS, **{f"parameters.{key}": field for key, field in PARAMETERS.items()}}
    rows = [
        f"| `{path}` | {field.fate} | {field.why} |"
        for path, field in listed.items()
        if field.fate != HONOURED
    ]
    assert "\n".join(rows) in text, "docs/repository.md should have:\n" + "\n".join(rows)


REFUSED = {
    "sequence_batching": '"sequence_batching": {}',
    "ensemble_scheduling": '"ensemble_scheduling": {}',
    "input.allow_ragged_batch": '"input": [{"name": "x"}, {"allow_ragged_batch": true}]',
    "batch_input": '"batch_input": [{}]',
    "batch_output": '"batch_output": [{}]',
    "input.is_shape_tensor": '"input": [{"is_shape_tensor": true}]',
    "output.is_shape_tensor": '"output": [{"is_shape_tensor": true}]',
    "input.is_non_linear_format_io": '"input": [{"is_non_linear_format_io": true}]',
    "output.is_non_linear_format_io": '"output": [{"is_non_linear_format_io": true}]',
    "instance_group.profile": '"instance_group": [{"profile": ["0"]}]',
    "model_transaction_policy.decoupled": '"model_transaction_policy": {"decoupled": true}',
    "model_operations.op_library_filename": '"model_operations": {"op_library_filename": ["a"]}',
    "model_repository_agents.agents": '"model_repository_agents": {"agents": [{"name": "a"}]}',
}
WITHOUT_EFFECT = {
    "runtime": '"runtime": "libtriton_onnxruntime.so"',
    "optimization.priority": '"optimization": {"priority": "PRIORITY_MAX"}',
    "optimization.cuda": '"optimization": {"cuda": {"graphs": true}}',
    "optimization.input_pinned_memory.enable": '"optimization": {"input_pinned_memory": {}}',
    "optimization.output_pinned_memory.enable": '"optimization": {"output_pinned_memory": {}}',
    "optimization.gather_kernel_buffer_threshold": (
        '"optimization": {"gather_kernel_buffer_threshold": 4}'
    ),
    "optimization.eager_batching": '"optimization": {"eager_batching": true}',
    "instance_group.host_policy": (
        '"instance_group": [{"host_policy": "a"}, {"host_policy": "b"}]'
    ),
    "instance_group.secondary_devices": (
        '"instance_group": [{"secondary_devices": [{"kind": "KIND_NVDLA", "device_id": "0"}]}]'
    ),
    "cc_model_filenames": '"cc_model_filenames": {"8.0": "a.onnx"}',
    "metric_tags": '"metric_tags": {"a": "b"}',
    "model_metrics": (
        '"model_metrics": {"metric_control": [{"histogram_options": {"buckets": [1]}}]}'
    ),
}
SAY_NOTHING = (
    '"optimization": {"input_pinned_memory": {"enable": true}, "cuda": {}, "eager_batching": false}',
    '"model_transaction_policy": {"decoupled": false}, "model_repository_agents": {}',
    '"input": [{"allow_ragged_batch": false}], "instance_group": [{"name": "a", "count": 2}]',
    '"parameters": {"anything": {"string_value": "1"}, "execution_mode": {"string_value": "0"}}',
    '"version_policy": {"all": {}}, "model_operations": {}, "optimization": {"graph": {"level": 1}}',
)


def test_each_fate_is_tested() -> None:
    for fate, cases in (("refused", REFUSED), ("without effect", WITHOUT_EFFECT)):
        assert {path for path, field in FIELDS.items() if field.fate == fate} == cases.keys()


@pytest.mark.parametrize("path", REFUSED)
def test_a_field_that_is_not_served_is_refused_by_name(path: str) -> None:
    config = parse_model_config(f'{{"name": "m", {REFUSED[path]}}}')
    assert refusal_of(config) == f"model 'm': {path} is not served; {FIELDS[path].why}"


@pytest.mark.parametrize("path", WITHOUT_EFFECT)
def test_a_field_without_effect_is_one_warning(path: str) -> None:
    config = parse_model_config(f"{{{WITHOUT_EFFECT[path]}}}")
    assert refusal_of(config) == ""
    assert warnings_of(config) == [f"{path} has no effect: {FIELDS[path].why}"]


@pytest.mark.parametrize("text", SAY_NOTHING)
def test_defaults_say_nothing(text: str) -> None:
    config = parse_model_config(f"{{{text}}}")
    assert (refusal_of(config), warnings_of(config)) == ("", [])
    assert set(set_paths(config.message)) <= FIELDS.keys()


def test_a_parameter_of_tritons_backend_without_effect_is_a_warning() -> None:
    config = parse_model_config('{"parameters": {"gpu_mem_limit": {"string_value": "1"}}}')
    why = PARAMETERS["gpu_mem_limit"].why
    assert warnings_of(config) == [f"parameters.gpu_mem_limit has no effect: {why}"]
