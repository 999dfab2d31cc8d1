from pathlib import Path

import pytest

from contract.errors import RepositoryError
from trainer.files import check_folder_writable


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    check_folder_writable(tmp_path / "new" / "repository")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(RepositoryError, match="cannot write to"):
        check_folder_writable(tmp_path / "file" / "repository")
