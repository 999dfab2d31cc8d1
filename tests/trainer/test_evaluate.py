"""One dataset gives one set of metrics, from a checkpoint, a published version and an endpoint."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live_server import LiveServer, free_port, live_server
from tests.trainer.conftest import Trained, aperture_train, problems


@pytest.fixture(scope="module")
def endpoint(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A running aperture-serve on the trained model's repository."""
    log = tmp_path_factory.mktemp("server") / "log"
    with live_server(log, "--model_repository", str(trained.repository)) as server:
        yield server


def metrics_of(trained: Trained, output: Path, *source: str) -> dict[str, dict[str, float]]:
    argv = ("evaluate", "--data", str(trained.data), "--output", str(output), *source)
    assert aperture_train(*argv) == 0
    metrics: dict[str, dict[str, float]] = json.loads(output.read_text())
    return metrics


@pytest.mark.parametrize("split", ["validation", "test"])
def test_three_ways_to_evaluate_agree_with_each_other_and_with_fit(
    trained: Trained, endpoint: LiveServer, tmp_path: Path, split: str
) -> None:
    sources = [
        ("--checkpoint", str(trained.run_dir)),
        ("--model_repository", str(trained.repository), "--name", trained.name),
        ("--url", endpoint.url, "--name", trained.name, "--batch_size", "7"),
    ]
    by_fit = json.loads((trained.run_dir / "metrics.json").read_text())["splits"][split]
    for source in sources:
        found = metrics_of(trained, tmp_path / "metrics.json", *source, "--split", split)
        assert found == {split: by_fit}


def test_evaluate_prints_a_table(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ("--data", str(trained.data), "--checkpoint", str(trained.run_dir), "--split", "train")
    assert aperture_train("evaluate", *argv) == 0
    assert capsys.readouterr().out.splitlines()[2].startswith("| train")


def test_endpoint_that_cannot_be_reached_is_one_error_line(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    argv = ("evaluate", "--data", str(trained.data), "--url", url, "--name", "digits")
    assert aperture_train(*argv) == 1
    (line,) = problems(capsys.readouterr().err)
    assert line.startswith(f"{url}/v2/models/digits/config: cannot be reached: ")


def test_unknown_served_model_gives_the_servers_answer(
    trained: Trained, endpoint: LiveServer, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ("evaluate", "--data", str(trained.data), "--url", endpoint.url, "--name", "cats")
    assert aperture_train(*argv) == 1
    assert "cats/config: answered status 404: " in problems(capsys.readouterr().err)[0]


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        (("--name", "digits", "--version", "9"), "no version 9; published are 1"),
        (("--name", "cats"), "no version; published are none"),
    ],
)
def test_version_that_is_not_published_is_named(
    trained: Trained, capsys: pytest.CaptureFixture[str], source: tuple[str, ...], answer: str
) -> None:
    argv = ("--data", str(trained.data), "--model_repository", str(trained.repository), *source)
    assert aperture_train("evaluate", *argv) == 1
    assert answer in problems(capsys.readouterr().err)[0]


def test_dataset_with_a_label_that_the_model_lacks_is_refused(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "test" / "9").mkdir(parents=True)
    argv = ("--data", str(tmp_path), "--checkpoint", str(trained.run_dir))
    assert aperture_train("evaluate", *argv) == 1
    assert problems(capsys.readouterr().err) == [
        f"{tmp_path / 'test' / '9'}: label '9' is unknown to the model, whose labels are 0, 1, 2, 3"
    ]


def test_bad_pictures_are_refused_or_skipped(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "test" / "1"
    target.mkdir(parents=True)
    (target / "good.png").write_bytes((trained.data / "test" / "1" / "000.png").read_bytes())
    (target / "bad.png").write_bytes(b"")
    argv = ("evaluate", "--data", str(tmp_path), "--checkpoint", str(trained.run_dir))
    assert aperture_train(*argv) == 1
    assert problems(capsys.readouterr().err)[0].startswith(f"{target / 'bad.png'}: zero bytes")
    assert aperture_train(*argv, "--skip_bad_images") == 0
