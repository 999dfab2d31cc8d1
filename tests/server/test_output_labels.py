from dataclasses import replace
from pathlib import Path

import pytest

from contract.model_config import ModelConfig, TensorSpec, make_model_config
from server.errors import LoadError
from server.output_labels import read_output_labels


def config(*files: str) -> ModelConfig:
    """A model with outputs y0, y1, ... that name these files."""
    outputs = tuple(
        TensorSpec(f"y{index}", "FP32", (2,), label_filename=file)
        for index, file in enumerate(files)
    )
    inputs = (TensorSpec("x", "FP32", (2,)),)
    return make_model_config("m", max_batch_size=1, inputs=inputs, outputs=outputs, parameters={})


def test_each_output_has_the_labels_of_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "names").mkdir()
    (tmp_path / "animals.txt").write_bytes(b"cat\r\n\rdog\x0c")
    (tmp_path / "names" / "places.txt").write_bytes("caf\xe9\n\x85\n".encode("latin-1"))
    labels = read_output_labels(tmp_path, config("animals.txt", "", "names/places.txt"))
    assert labels == {"y0": ("cat", "\rdog\x0c"), "y2": ("caf\udce9", "\udc85")}


@pytest.mark.parametrize("end", ["\r", "\x0b", "\x85", "\u2028"])
def test_a_task_has_no_label_of_several_lines(tmp_path: Path, end: str) -> None:
    """Taken for two, it would give all that follow the names of others."""
    (tmp_path / "labels.txt").write_bytes(f"cat{end}dog\nbird\n".encode())
    one = replace(config("labels.txt"), parameters={"task": "image-classification"})
    with pytest.raises(LoadError, match=r"label 0 is .* expected a name of one line"):
        read_output_labels(tmp_path, one)


def test_a_file_that_is_missing_is_named_with_its_output(tmp_path: Path) -> None:
    (tmp_path / "animals.txt").write_text("cat\ndog\n")
    with pytest.raises(LoadError) as refused:
        read_output_labels(tmp_path, config("animals.txt", "no.txt"))
    assert str(refused.value).startswith(
        "model 'm': label_filename of output 'y1' is 'no.txt', which cannot be read: "
    )


@pytest.mark.parametrize("file", ["../secret.txt", "a/../../secret.txt", "/etc/passwd"])
def test_a_file_outside_of_the_folder_is_refused(tmp_path: Path, file: str) -> None:
    (tmp_path / "secret.txt").write_text("cat\ndog\n")
    (tmp_path / "m" / "a").mkdir(parents=True)
    with pytest.raises(LoadError, match="expected a path within the model's folder"):
        read_output_labels(tmp_path / "m", config(file))


def test_labels_of_a_task_tell_its_classes_apart(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("cat\ncat\n")
    one = config("labels.txt")
    assert read_output_labels(tmp_path, one) == {"y0": ("cat", "cat")}
    with pytest.raises(LoadError, match=r"names \['cat'\] more than once"):
        read_output_labels(tmp_path, replace(one, parameters={"task": "image-classification"}))
