from pathlib import Path

import pytest

from contract.model_config import empty_model_config, parse_model_config
from server.errors import LoadError
from server.sources import ModelFolder, find_source, require_model
from tests.onnx_graphs import Through, write_identity
from tests.tiny_models import publish_colour_model

PLAIN = Through("", "FP32", ["n", 2])


def only(folders: dict[str, ModelFolder]) -> ModelFolder:
    (folder,) = folders.values()
    return folder


def test_a_repository_is_read_anew_each_time(tmp_path: Path) -> None:
    source = find_source(tmp_path, None, None)
    assert source.folders() == {}
    (tmp_path / "a").mkdir()
    (tmp_path / ".staging").mkdir()
    (tmp_path / "README.md").touch()
    assert list(source.folders()) == ["a"]


def test_a_models_folder_is_served_under_its_configs_name_or_the_one_given(tmp_path: Path) -> None:
    model_dir = publish_colour_model(tmp_path, "colour")
    moved = model_dir.rename(tmp_path / "elsewhere")
    assert list(find_source(None, moved, None).folders()) == ["colour"]
    assert list(find_source(None, moved, "hue").folders()) == ["hue"]


def test_version_folders_make_a_model_without_config(tmp_path: Path) -> None:
    write_identity(tmp_path / "models" / "1" / "model.onnx", PLAIN)
    folder = only(find_source(None, tmp_path / "models", None).folders())
    assert (folder.name, folder.versions()) == ("models", [1])
    assert folder.read_config().inputs == ()


def test_a_repository_with_a_model_named_by_a_number_stays_a_repository(tmp_path: Path) -> None:
    write_identity(tmp_path / "7" / "1" / "model.onnx", PLAIN)
    assert list(find_source(None, tmp_path, None).folders()) == ["7"]


@pytest.mark.parametrize("file_name", ["model.onnx", "resnet50.onnx"])
def test_a_bare_onnx_file_is_version_1(tmp_path: Path, file_name: str) -> None:
    write_identity(tmp_path / file_name, PLAIN)
    (tmp_path / "notes.txt").touch()
    folder = only(find_source(None, tmp_path, "bare").folders())
    assert folder.versions() == [1]
    assert folder.model_file(1, folder.read_config()) == tmp_path / file_name


def test_of_several_onnx_files_the_one_of_tritons_name_is_served(tmp_path: Path) -> None:
    for name in ("model.onnx", "other.onnx"):
        write_identity(tmp_path / name, PLAIN)
    assert only(find_source(None, tmp_path, None).folders()).bare_file == tmp_path / "model.onnx"
    (tmp_path / "model.onnx").rename(tmp_path / "third.onnx")
    assert find_source(None, tmp_path, None).folders() == {}


def test_one_model_of_a_mounted_repository_may_be_renamed(tmp_path: Path) -> None:
    publish_colour_model(tmp_path, "a")
    assert only(find_source(None, tmp_path, "b").folders()).path == tmp_path / "a"
    publish_colour_model(tmp_path, "c")
    assert list(find_source(None, tmp_path, "b").folders()) == ["a", "c"]


def test_the_model_file_may_have_another_name_or_be_a_folder(tmp_path: Path) -> None:
    write_identity(tmp_path / "1" / "net.onnx", PLAIN)
    write_identity(tmp_path / "2" / "model.onnx" / "model.onnx", PLAIN)
    folder = ModelFolder("m", tmp_path)
    named = parse_model_config('{"default_model_filename": "net.onnx"}')
    assert folder.model_file(1, named) == tmp_path / "1" / "net.onnx"
    plain = empty_model_config("m")
    assert folder.model_file(2, plain) == tmp_path / "2" / "model.onnx" / "model.onnx"
    with pytest.raises(LoadError, match=r"1/model\.onnx is missing"):
        folder.model_file(1, plain)


@pytest.mark.parametrize("name", ["../2/model.onnx", "/etc/passwd", "a/b.onnx", ".."])
def test_a_model_file_outside_its_version_is_refused(tmp_path: Path, name: str) -> None:
    config = parse_model_config(f'{{"default_model_filename": "{name}"}}')
    with pytest.raises(LoadError, match="default_model_filename"):
        ModelFolder("m", tmp_path).model_file(1, config)


def test_a_missing_folder_and_a_model_given_as_a_repository_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="is not a folder"):
        find_source(tmp_path / "absent", None, None)
    model_dir = publish_colour_model(tmp_path, "m")
    with pytest.raises(LoadError, match="give it as --model_dir"):
        find_source(model_dir, None, None)


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        ([], "nothing at all"),
        (["model.pth", "code/inference.py"], "code/, model.pth"),
        (["one.onnx", "two.onnx"], "one.onnx, two.onnx"),
        (["export/colour/1/model.onnx"], "export/"),
        (["config.pbtxt"], "config.pbtxt"),
        ([*"abcdefghijklm"], "a, b, c, d, e, f, g, h, i, j, and 3 more"),
    ],
)
def test_a_folder_without_a_model_says_what_lies_there(
    tmp_path: Path, paths: list[str], found: str
) -> None:
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    with pytest.raises(LoadError) as caught:
        require_model(find_source(None, tmp_path, None))
    assert str(caught.value).startswith(f"{tmp_path} holds no model, but {found}; expected NAME/")


@pytest.mark.parametrize("path", ["m/1/model.onnx", "1/model.onnx", "any.onnx", "m/2/net.plan"])
def test_one_version_is_a_model_whatever_lies_beside_it(tmp_path: Path, path: str) -> None:
    for file in (path, "code/inference.py", "labels_info.json"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    require_model(find_source(None, tmp_path, None))
