import logging
from pathlib import Path

import pytest

from server.errors import LoadError
from server.loader import load_version
from server.sources import ModelFolder
from tests.repositories import ENGINE
from tests.tiny_models import publish_colour_model


def folder_of(tmp_path: Path, more: str) -> ModelFolder:
    """A model's folder whose config.pbtxt says `more`."""
    model_dir = publish_colour_model(tmp_path, "colours").model_dir
    config = model_dir / "config.pbtxt"
    config.write_text(f"{config.read_text()}{more}\n")
    return ModelFolder("colours", model_dir)


def test_a_field_without_effect_is_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder_of(tmp_path, "optimization { eager_batching: true }")
    load_version(folder, 1, folder.read_config(), ENGINE)
    (line,) = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert line.startswith("model=colours version=1: optimization.eager_batching has no effect: ")


def test_a_field_that_is_not_served_is_a_reason_in_one_line(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "model_transaction_policy { decoupled: true }")
    with pytest.raises(LoadError) as refused:
        load_version(folder, 1, folder.read_config(), ENGINE)
    assert str(refused.value) == (
        "model 'colours': model_transaction_policy.decoupled is not served; "
        "each request has one response; set it to false"
    )


def test_a_bad_parameter_of_the_session_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 'parameters { key: "execution_mode" value { string_value: "2" } }')
    with pytest.raises(LoadError, match="Expected values for execution_mode are 0 or 1 but got 2"):
        load_version(folder, 1, folder.read_config(), ENGINE)
