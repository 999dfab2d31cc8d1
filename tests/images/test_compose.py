"""compose.yaml beside the images and the programs that it starts."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from images import ROOT, Build, version
from server.settings import ServerOptions
from trainer.cli import run
from trainer.settings import FitSettings

FILE = ROOT / "compose.yaml"
OF_ANOTHER_RUN = 2


def services_of(environ: Mapping[str, str]) -> dict[str, Any]:
    """The services where these variables are set."""
    text = FILE.read_text(encoding="utf-8")
    text = re.sub(r"\$\{(\w+):-([^{}]*)\}", lambda of: environ.get(of[1]) or of[2], text)
    found: dict[str, Any] = yaml.safe_load(text)["services"]
    return found


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services where no variable is set."""
    return services_of({})


@pytest.mark.parametrize("environ", [{}, {"EXTRA": "gpu", "NAME": "m", "RUN": "2", "TAG": "7"}])
def test_compose_reads_the_file_as_these_tests_do(environ: dict[str, str]) -> None:
    command = _compose()
    if command is None:
        pytest.skip("neither `docker compose` nor Debian's docker-compose is here")
    command += ["--file", str(FILE), "--profile", "train", "config"]
    kept = {"HOME", "PATH"} & os.environ.keys()
    variables = {name: os.environ[name] for name in kept} | environ
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    assert done.returncode == 0, done.stderr
    assert "is not set" not in done.stderr
    read = yaml.safe_load(done.stdout)["services"]
    for name, service in services_of(environ).items():
        for field in ("image", "command", "user", "read_only"):
            assert read[name][field] == service[field]
        assert read[name]["build"]["args"] == service["build"]["args"]


def test_every_variable_is_written_as_both_composes_know_it() -> None:
    """Compose 1 knows neither `:+` nor a default within a default.

    Source: https://github.com/docker/compose/pull/7837
    """
    text = FILE.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    used = [found for line in lines for found in re.findall(r"\$.[^}]*\}?", line)]
    assert used
    assert all(re.fullmatch(r"\$\{\w+:-[^${}]*\}", one) for one in used)


@pytest.mark.parametrize("name", ["train", "serve"])
def test_services_have_no_more_rights_than_they_need(name: str, services: dict[str, Any]) -> None:
    service = services[name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]  # noqa: S108  # a path of the container
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] == "1000:1000"
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert service["image"] in Build(name, version=version()).tags
    assert (ROOT / service["build"]["dockerfile"]).is_file()


@pytest.mark.parametrize("extra", ["gpu", "tensorrt"])
def test_extra_takes_the_images_that_make_images_makes(extra: str) -> None:
    for name, service in services_of({"EXTRA": extra}).items():
        assert service["image"] == Build(name, extra, version=version()).tag
        assert service["build"]["args"]["EXTRA"] == extra


def test_a_training_has_time_for_its_last_checkpoint(services: dict[str, Any]) -> None:
    assert services["train"]["stop_grace_period"] == "2m"


def test_flags_are_those_of_the_programs(services: dict[str, Any]) -> None:
    fit, *flags = services["train"]["command"]
    assert fit == "fit"
    FitSettings.model_validate(_given(flags))
    ServerOptions.model_validate(_given(services["serve"]["command"]))


def test_the_server_reads_what_the_trainer_wrote(services: dict[str, Any]) -> None:
    assert "models:/models" in services["train"]["volumes"]
    assert "models:/models:ro" in services["serve"]["volumes"]
    assert "--model_repository=/models" in services["train"]["command"]
    assert "--model_repository=/models" in services["serve"]["command"]


@pytest.fixture
def _one_thread() -> Iterator[None]:
    """A tiny model gains nothing from a second core, and waits for it where the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_one_thread")
def test_another_training_with_a_folder_of_its_own_publishes_the_next_version(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run(["sample-data", "--task=image-classification", "--count=2", f"{tmp_path}/data"], {})
        == 0
    )
    assert _train({}, tmp_path, "0.01") == 0
    assert _train({}, tmp_path, "0.02") == OF_ANOTHER_RUN
    assert "give another --output_dir" in capsys.readouterr().err
    assert _train({"RUN": "2"}, tmp_path, "0.02") == 0
    assert {path.parent.name for path in (tmp_path / "models/model").glob("*/model.onnx")} == {
        "1",
        "2",
    }


def _train(environ: Mapping[str, str], folder: Path, learning_rate: str) -> int:
    """What compose's training ends with, its volumes being folders here."""
    args = services_of(environ)["train"]["command"]
    variables = {"MODEL": "resnet-tiny", "INPUT_SIZE": "32", "NUM_TRAIN_EPOCHS": "1"}
    variables |= {"LEARNING_RATE": learning_rate}
    return run(
        [arg.replace("=/", f"={folder}/") for arg in args],
        {f"APERTURE_HP_{name}": value for name, value in variables.items()},
    )


def test_the_server_has_time_to_drain(services: dict[str, Any]) -> None:
    options = ServerOptions.model_validate(_given(services["serve"]["command"]))
    stops_after_s = options.shutdown_delay + options.grace_period
    assert float(services["serve"]["stop_grace_period"].rstrip("s")) > stops_after_s


def _given(flags: list[str]) -> dict[str, str]:
    return dict(flag.removeprefix("--").split("=", 1) for flag in flags)


def _compose() -> list[str] | None:
    if shutil.which("docker"):
        asked = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if asked.returncode == 0:
            return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else None
