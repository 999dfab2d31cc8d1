import subprocess
import sys
from pathlib import Path

import pytest

from contract.errors import ConfigError
from contract.model_config import CONFIG_FILE, TensorSpec, make_model_config, read_model_config
from tests.tiny_models import colour_config


def test_a_configuration_survives_its_file(tmp_path: Path) -> None:
    written = make_model_config(
        "m",
        4,
        (TensorSpec("image", "UINT8", (8, 8, 3)), TensorSpec("note", "BYTES", (1,))),
        (TensorSpec("scores", "FP32", (-1,), "labels.txt"),),
        {"task": "image-classification", "quote": 'a "b" \\ é'},
    )
    (tmp_path / CONFIG_FILE).write_text(written.to_text(), encoding="utf-8")
    read = read_model_config(tmp_path)
    assert (read.name, read.max_batch_size, read.inputs, read.outputs) == (
        ("m", 4, written.inputs, written.outputs)
    )
    assert read.parameters == written.parameters
    assert read.task == "image-classification"


def test_a_file_without_a_name_is_named_by_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder-name"
    folder.mkdir()
    (folder / CONFIG_FILE).write_text("max_batch_size: 3")
    assert read_model_config(folder).name == "folder-name"


def test_json_has_tritons_names_and_numbers(tmp_path: Path) -> None:
    (tmp_path / CONFIG_FILE).write_text(
        'name: "m" dynamic_batching { max_queue_delay_microseconds: 100 preferred_batch_size: [4] }'
        'version_policy { specific { versions: [1, 2] } } input { name: "i" data_type: TYPE_FP32 }'
    )
    printed = read_model_config(tmp_path).to_json()
    assert printed["version_policy"] == {"specific": {"versions": [1, 2]}}
    dynamic_batching = printed["dynamic_batching"]
    assert isinstance(dynamic_batching, dict)
    assert dynamic_batching["preferred_batch_size"] == [4]
    assert dynamic_batching["max_queue_delay_microseconds"] == 100


def test_json_has_the_defaults_that_tritons_clients_read(tmp_path: Path) -> None:
    (tmp_path / CONFIG_FILE).write_text('name: "m" input { name: "i" data_type: TYPE_FP32 }')
    printed = read_model_config(tmp_path).to_json()
    assert printed["input"] == [
        {
            "name": "i",
            "data_type": "TYPE_FP32",
            "format": "FORMAT_NONE",
            "dims": [],
            "is_shape_tensor": False,
            "allow_ragged_batch": False,
            "optional": False,
            "is_non_linear_format_io": False,
        }
    ]
    assert (printed["max_batch_size"], printed["output"], printed["parameters"]) == (0, [], {})
    assert "dynamic_batching" not in printed  # a message says something by being there


def test_copies_leave_the_original_as_it_was() -> None:
    original = colour_config("m")
    assert original.renamed("n").name == "n"
    extended = original.with_parameters({"a": "b"})
    assert extended.parameters["a"] == "b"
    assert extended.without_parameters(["a", "absent"]).parameters == original.parameters
    assert extended.parameters["a"] == "b"
    assert original.name == "m"
    assert "a" not in original.parameters


@pytest.mark.parametrize("text", ["max_batch_sise: 3", "name: 3", "{", 'data_type: "x"'])
def test_a_file_of_another_schema_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / CONFIG_FILE).write_text(text)
    with pytest.raises(ConfigError, match="is not a Triton model configuration"):
        read_model_config(tmp_path)


@pytest.mark.parametrize("first", ["kserve", "tritonclient.grpc"])
@pytest.mark.parametrize("order", [1, -1])
def test_the_schema_loads_beside_kserve_and_beside_tritonclient(first: str, order: int) -> None:
    use = "from tests.tiny_models import colour_config; colour_config('m')"
    code = "; ".join([f"import {first}", use][::order])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
