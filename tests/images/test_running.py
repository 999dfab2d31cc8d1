"""The images at work: trained, served, asked, stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from images import ROOT
from tests.images.containers import Container, Image, Mount, Running
from tests.k8s.pods import MODELS, Pod, predictors_of, trainers_of
from tests.k8s.rendered import kubectl, rendered
from tests.live_server import free_port, wait_for_url, wait_until

pytestmark = [pytest.mark.images, pytest.mark.timeout(1800)]

FOREIGN = "1234567:0"
"""A user that the image does not know, in the group 0: OpenShift's way."""


def test_a_trained_model_is_served_until_sigterm(
    serving: Image, repository: Path, tmp_path: Path
) -> None:
    http, grpc = free_port(), free_port()
    container = Container(
        serving,
        ("--model_repository", "/models", "--http_port", str(http), "--grpc_port", str(grpc)),
        (Mount(repository, "/models"),),
    )
    with container.running(tmp_path / "log") as running:
        _wait_until_ready(http, running)
        picture = repository.parent / "data/shapes/test/circle/0000.png"
        over_rest = _ask("ask_v1.py", f"http://127.0.0.1:{http}", picture)
        over_grpc = _ask("ask_v2_grpc.py", f"127.0.0.1:{grpc}", picture)
        assert over_rest == over_grpc
        assert {line.split()[1] for line in over_rest} == {"circle", "square", "star", "triangle"}
        assert running.stop(signal.SIGTERM) == 0, running.log.read_text()


@pytest.mark.parametrize("user", [None, FOREIGN])
def test_serving_needs_no_right_and_writes_nothing(
    serving: Image, repository: Path, tmp_path: Path, user: str | None
) -> None:
    tmp = _open_folder(tmp_path / "tmp")
    http, grpc = free_port(), free_port()
    container = Container(
        serving,
        ("--model_repository", "/models", "--shutdown_delay", "0"),
        (Mount(repository, "/models"),),
        (f"APERTURE_HTTP_PORT={http}", f"APERTURE_GRPC_PORT={grpc}"),
        user,
    )
    with container.restricted(tmp_path / "log", tmp) as running:
        _wait_until_ready(http, running)
        _assert_restricted(running.program, user or "1000:1000")
        picture = repository.parent / "data/shapes/test/circle/0000.png"
        assert len(_ask("ask_v1.py", f"http://127.0.0.1:{http}", picture)) == 4
        assert running.stop(signal.SIGTERM) == 0, running.log.read_text()
    assert list(tmp.rglob("*")) == []


@kubectl
def test_the_images_run_as_the_pods_of_the_manifests(
    serving: Image, training: Image, repository: Path, tmp_path: Path
) -> None:
    """Command, arguments, variables, user and mounts are theirs; of the recipe the length is less."""
    (trainer,) = trainers_of(rendered("base"))
    args = [arg.replace("epochs=12", "epochs=1") for arg in trainer.main["args"]]
    folders = {"data": repository.parent / "data"}
    for name in ("models", "runs"):
        folders[name] = _open_folder(tmp_path / name)
        os.chown(folders[name], 1000, 1000)
    mounts = [Mount(path, f"/{name}", name != "data") for name, path in folders.items()]
    assert {mount.target for mount in mounts} < {
        one["mountPath"] for one in trainer.main["volumeMounts"]
    }
    container = _of_pod(training, trainer, args, tuple(mounts))
    with container.restricted(tmp_path / "train.log", _open_folder(tmp_path / "tmp")) as running:
        assert running.started.wait(300) == 0, running.log.read_text()
    (predictor,) = predictors_of(rendered("base"))
    http, grpc = free_port(), free_port()
    ports = {"--http_port=8080": f"--http_port={http}", "--grpc_port=8081": f"--grpc_port={grpc}"}
    args = [ports.get(arg, arg) for arg in predictor.main["args"]]
    model = Mount(tmp_path / "models/shapes", MODELS)
    container = _of_pod(serving, predictor, args, (model,))
    with container.restricted(tmp_path / "serve.log", tmp_path / "tmp") as running:
        _wait_until_ready(http, running)
        picture = repository.parent / "data/shapes/test/circle/0000.png"
        assert len(_ask("ask_v1.py", f"http://127.0.0.1:{http}", picture)) == 4
        assert running.stop(signal.SIGTERM) == 0, running.log.read_text()


@pytest.mark.parametrize("user", [None, "0:0", FOREIGN])
def test_serve_is_a_container_of_sagemakers(
    serving: Image, repository: Path, tmp_path: Path, user: str | None
) -> None:
    """One argument, a read-only model, variables alone, any user, root too; nothing is written."""
    tmp = _open_folder(tmp_path / "tmp")
    http, grpc = free_port(), free_port()
    variables = (f"SAGEMAKER_BIND_TO_PORT={http}", f"SAGEMAKER_SAFE_PORT_RANGE={grpc}-{grpc}")
    mounts = (Mount(repository, "/opt/ml/model"),)
    container = Container(serving, ("serve",), mounts, variables, user)
    with container.restricted(tmp_path / "log", tmp) as running:
        url = f"http://127.0.0.1:{http}"
        wait_for_url(f"{url}/ping", running.started, running.log)
        picture = (repository.parent / "data/shapes/test/circle/0000.png").read_bytes()
        headers = {"Content-Type": "application/x-image"}
        answer = httpx.post(f"{url}/invocations", content=picture, headers=headers)
        assert (len(answer.json()), round(sum(answer.json()), 3)) == (4, 1)
        assert running.stop(signal.SIGTERM) == 0, running.log.read_text()
    assert list(tmp.rglob("*")) == []


def test_health_check_tells_ready_from_not(
    serving: Image, repository: Path, tmp_path: Path
) -> None:
    http, grpc = free_port(), free_port()
    ports = (f"APERTURE_HTTP_PORT={http}", f"APERTURE_GRPC_PORT={grpc}")
    check = serving.config["Healthcheck"]["Test"][1:]
    proxy = ("http_proxy=http://127.0.0.1:1", "HTTP_PROXY=http://127.0.0.1:1")  # none listens there
    asking = Container(serving, (), (), (*ports, *proxy), None, check)
    with pytest.raises(AssertionError, match="Connection refused"):
        asking.finish()
    flags = ("--model_repository", "/models", "--shutdown_delay", "0")
    container = Container(serving, flags, (Mount(repository, "/models"),), ports)
    with container.running(tmp_path / "log") as running:
        _wait_until_ready(http, running)
        asking.finish()
        assert running.stop(signal.SIGTERM) == 0, running.log.read_text()
    broken = tmp_path / "broken" / "bad" / "1"
    broken.mkdir(parents=True)
    (broken / "model.onnx").write_bytes(b"no graph")
    container = Container(serving, flags, (Mount(broken.parents[1], "/models"),), ports)
    with container.running(tmp_path / "log") as running:
        live = f"http://127.0.0.1:{http}/v2/health/live"
        wait_for_url(live, running.started, running.log)
        with pytest.raises(AssertionError, match="status 503"):
            asking.finish()


def test_training_needs_no_right_and_leaves_no_file_in_tmp(
    training: Image, repository: Path, tmp_path: Path
) -> None:
    tmp = _open_folder(tmp_path / "tmp")
    container = _long_training(training, repository, tmp_path, "1")
    with container.restricted(tmp_path / "log", tmp) as running:
        assert running.started.wait(300) == 0, running.log.read_text()
    assert (tmp_path / "models/shapes/1/model.onnx").stat().st_uid == int(FOREIGN.partition(":")[0])
    left = [path for path in tmp.rglob("*") if not path.is_dir()]
    assert left == []


def test_training_ends_by_the_signal_that_engines_send(
    training: Image, repository: Path, tmp_path: Path
) -> None:
    tmp = _open_folder(tmp_path / "tmp")
    container = _long_training(training, repository, tmp_path, "1000")
    with container.restricted(tmp_path / "log", tmp) as running:
        wait_until(lambda: bool(list((tmp_path / "runs").glob("shapes/checkpoint-*"))), 120)
        _assert_restricted(running.program, FOREIGN)
        number = signal.Signals[training.config["StopSignal"]]
        assert running.stop(number) == 143, running.log.read_text()


def _of_pod(image: Image, pod: Pod, args: list[str], mounts: tuple[Mount, ...]) -> Container:
    context = pod.spec["securityContext"]
    user = f"{context['runAsUser']}:{context['runAsGroup']}"
    variables = tuple(f"{one['name']}={one['value']}" for one in pod.main.get("env", ()))
    return Container(image, tuple(args), mounts, variables, user, pod.main["command"])


def _long_training(training: Image, repository: Path, folder: Path, epochs: str) -> Container:
    mounts = [Mount(repository.parent / "data", "/data")]
    for name in ("models", "runs"):
        _open_folder(folder / name)
        mounts.append(Mount(folder / name, f"/{name}", writable=True))
    fit = ["fit", "--task", "image-classification", "--data", "/data/shapes", "--name", "shapes"]
    fit += ["--model_repository", "/models", "--output_dir", "/runs/shapes", "--input_size", "32"]
    fit += ["--model", "resnet-tiny", "--num_train_epochs", epochs]
    return Container(training, fit, mounts, ("OMP_NUM_THREADS=1",), FOREIGN)


def _assert_restricted(program: psutil.Process, user: str) -> None:
    """The program is process 1 of its namespace, has no capability, and its root is read-only."""
    folder = Path("/proc") / str(program.pid)
    status = dict(
        line.split(":\t", 1)
        for line in (folder / "status").read_text().splitlines()
        if ":\t" in line
    )
    uid, gid = user.split(":")
    assert set(status["Uid"].split()) == {uid}
    assert set(status["Gid"].split()) == {gid}
    assert status["NSpid"].split()[1:] == ["1"]
    assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd")} == {0}
    assert status["NoNewPrivs"] == "1"
    mounts = [line.split() for line in (folder / "mounts").read_text().splitlines()]
    assert [options.split(",")[0] for _, target, _, options, *_ in mounts if target == "/"] == [
        "ro"
    ]


def _wait_until_ready(port: int, running: Running) -> None:
    wait_for_url(f"http://127.0.0.1:{port}/v2/health/ready", running.started, running.log)


def _ask(example: str, address: str, picture: Path) -> list[str]:
    command = [sys.executable, "-W", "ignore", str(ROOT / "examples" / example), address]
    command += ["shapes", str(picture)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def _open_folder(folder: Path) -> Path:
    folder.mkdir()
    folder.chmod(0o777)
    os.chown(folder, 1234567, 0)
    return folder
