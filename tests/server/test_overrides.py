from pathlib import Path

import pytest

from server.errors import LoadFailed
from server.overrides import check_path, parse_override, write_private_folder


def test_a_configuration_of_a_request_takes_the_models_name() -> None:
    config = parse_override("m", '{"max_batch_size": 3, "input": [{"name": "x", "dims": ["2"]}]}')
    assert (config.name, config.max_batch_size, config.inputs[0].dims) == ("m", 3, (2,))


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", '{"max_bat_size": 1}', '{"name": "other"}', '{"max_batch_size": "x"}'),
        '{"input": [{"name": "x", "data_type": 99}]}',
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused(text: str) -> None:
    with pytest.raises(LoadFailed, match=r"failed to load 'm', .*: Invalid config override"):
        parse_override("m", text)


def test_a_configuration_that_is_long_beyond_reason_is_not_parsed() -> None:
    text = '{"max_batch_size": 3}'
    assert parse_override("m", text + " " * (2**18 - len(text))).max_batch_size == 3
    with pytest.raises(LoadFailed, match="it has 262145 characters; the limit is 262144"):
        parse_override("m", text + " " * (2**18 - len(text) + 1))


def test_files_are_written_into_a_private_folder_and_removed() -> None:
    files = {"file:1/model.onnx": b"one", "labels.txt": b"two"}
    with write_private_folder("m", files, 6) as name:
        folder = Path(name)
        assert (folder / "1" / "model.onnx").read_bytes() == b"one"
        assert (folder / "labels.txt").read_bytes() == b"two"
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()


@pytest.mark.parametrize(
    "key",
    [
        "file:../m/1/model.onnx",
        "file:/etc/passwd",
        "file:1/../../x",
        "file:",
        "file:1//model.onnx",
        "file:1/./model.onnx",
        "file:1\\..\\x",
        "file:1/a\x00b",
        "file:" + "a/" * 9 + "b",
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(key: str) -> None:
    with pytest.raises(LoadFailed, match="is no path within the model's folder"):
        check_path("m", key)


def test_too_much_is_refused() -> None:
    with pytest.raises(LoadFailed, match="files of 7 bytes"):
        write_private_folder("m", {"1/model.onnx": b"1234567"}, 6)
    with pytest.raises(LoadFailed, match="1001 files"):
        write_private_folder("m", {f"1/{i}": b"" for i in range(1001)}, 6)


@pytest.mark.parametrize("files", [{"a" * 300: b""}, {"a": b"", "a/b": b""}])
def test_files_that_cannot_be_written_are_refused_and_leave_nothing(
    files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(LoadFailed, match="its files cannot be written"):
        write_private_folder("m", files, 6)
    assert list(tmp_path.iterdir()) == []


def test_files_without_a_temporary_folder_to_write_them_to_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    with pytest.raises(LoadFailed, match="its files cannot be written: No such file or directory"):
        write_private_folder("m", {"1/model.onnx": b""}, 6)


def test_a_name_that_is_no_folder_is_refused() -> None:
    with pytest.raises(LoadFailed, match="model name"):
        write_private_folder("../m", {"1/model.onnx": b""}, 6)
