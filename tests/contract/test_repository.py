import os
from pathlib import Path

import pytest

from contract.errors import RepositoryError
from contract.repository import (
    check_model_name,
    list_model_dirs,
    list_versions,
    version_number,
)


@pytest.mark.parametrize("name", ["", "../m", "a/b", ".m", "a b", "é", "-m", "x" * 129])
def test_names_that_are_not_safe_in_a_path_or_url_are_refused(name: str) -> None:
    with pytest.raises(RepositoryError, match="expected up to 128 letters"):
        check_model_name(name)


def test_hidden_folders_and_files_are_no_models(tmp_path: Path) -> None:
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "README.md").touch()
    (tmp_path / "b").mkdir()
    (tmp_path / "a").mkdir()
    (tmp_path / os.fsdecode(b"x\xff")).mkdir()
    (tmp_path / "größe").mkdir()
    assert [path.name for path in list_model_dirs(tmp_path)] == ["a", "b", "größe"]
    with pytest.raises(RepositoryError, match="No such file"):
        list_model_dirs(tmp_path / "absent")


def test_only_whole_numbers_without_leading_zeros_are_versions(tmp_path: Path) -> None:
    for name in ("1", "10", "2", "03", "x", "0", "-1", ".staging-1", str(2**63 - 1), str(2**63)):
        (tmp_path / name).mkdir()
    (tmp_path / "7").touch()
    assert list_versions(tmp_path) == [1, 2, 10, 2**63 - 1]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("0", 0),
        ("007", 7),
        ("0" * 5000 + "7", 7),
        ("1764417600000000000", 1764417600000000000),
        (str(2**63 - 1), 2**63 - 1),
        (str(2**63), None),
        ("9" * 5000, None),
        ("0" * 5000 + "x", None),
        ("-1", None),
        ("+1", None),
        ("1_0", None),
        ("٣", None),
        ("", None),
    ],
)
def test_a_client_asks_for_a_version_by_its_number(text: str, number: int | None) -> None:
    assert version_number(text) == number
