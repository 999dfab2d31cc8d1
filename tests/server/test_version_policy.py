from pathlib import Path

import pytest

from contract.model_config import CONFIG_FILE, empty_model_config, read_model_config
from server.version_policy import choose_versions


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [
        ("", [12]),
        ("version_policy { latest {} }", [12]),
        ("version_policy { latest { num_versions: 2 } }", [3, 12]),
        ("version_policy { latest { num_versions: 9 } }", [1, 2, 3, 12]),
        ("version_policy { all {} }", [1, 2, 3, 12]),
        ("version_policy { specific { versions: [3, 1] } }", [1, 3]),
        ("version_policy { specific { versions: [1, 7] } }", [1]),
        ("version_policy { specific { versions: 7 } }", []),
    ],
)
def test_a_policy_chooses_among_the_versions(
    tmp_path: Path, policy: str, chosen: list[int]
) -> None:
    (tmp_path / CONFIG_FILE).write_text(policy)
    assert choose_versions(read_model_config(tmp_path), [12, 1, 3, 2]) == chosen


def test_without_versions_there_is_nothing_to_choose() -> None:
    assert choose_versions(empty_model_config("m"), []) == []
