"""Two hosts of resourceconfig.json train as the two processes of one do, and end together.

What one process of the whole batch learns is another thing: each process has batch norms of its own.
The hosts are network namespaces or, without root, two names of this machine (tests/k8s/nodes.py).
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.k8s.nodes import Nodes, two_nodes
from tests.live_server import free_port, wait_until
from tests.trainer.sagemaker.containers import ALGORITHM, failure, train, write_container
from trainer.checkpoints import MANIFEST
from trainer.sagemaker.folders import Folders

pytestmark = pytest.mark.slow
NAMES = ("algo-1", "algo-2")
RUN_S = 300


@dataclass(frozen=True, slots=True)
class Host:
    """A running container."""

    folders: Folders
    process: "subprocess.Popen[bytes]"
    log: Path

    def wait(self) -> int:
        """Its exit code."""
        try:
            return self.process.wait(RUN_S)
        except subprocess.TimeoutExpired as err:
            raise AssertionError(self.log.read_text()) from err


@contextmanager
def hosts(folder: Path, **hyperparameters: str) -> Iterator[list[Host]]:
    """The containers of a job, each with a folder of its own."""
    with two_nodes(NAMES[0]) as nodes:
        names = NAMES if nodes.master == NAMES[0] else (nodes.master, "localhost")
        interface = "wire" if nodes.words[0] else "lo"
        port, running = free_port(), []
        try:
            for rank, name in enumerate(names):
                folders = Folders(folder / name)
                if not folders.base.exists():
                    write_container(folder / name, **hyperparameters)
                write_resources(folders, name, names[::-1], interface)
                running.append(started(nodes, rank, folders, port))
            yield running
        finally:
            for host in running:
                end(host.process)


def write_resources(folders: Folders, name: str, names: Sequence[str], interface: str) -> None:
    """What SageMaker tells the host `name`."""
    told = {"current_host": name, "hosts": names, "network_interface_name": interface}
    (folders.config / "resourceconfig.json").write_text(json.dumps(told), encoding="utf-8")


def started(nodes: Nodes, rank: int, folders: Folders, port: int, **environ: str) -> Host:
    log = folders.base / "log"
    command = [*nodes.words[rank], sys.executable, "-m", "trainer", "train"]
    command += ["--processes=1", f"--master_port={port}"]
    variables = {**ALGORITHM, "SAGEMAKER_BASE_DIR": str(folders.base), "OMP_NUM_THREADS": "1"}
    told = {**os.environ, **variables, **environ}
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=told, stdout=out, stderr=out)
    return Host(folders, process, log)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Kill a launcher and all that it started."""
    if process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
    process.wait()


def metrics_of(folders: Folders) -> dict[str, object]:
    found: dict[str, object] = json.loads((folders.output_data / "metrics.json").read_text())
    return found


def test_two_hosts_learn_what_two_processes_of_one_do(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    alone = write_container(tmp_path / "alone", mini_batch_size="8", epochs="2")
    with hosts(tmp_path, mini_batch_size="4", epochs="2") as (first, second):
        codes = first.wait(), second.wait()
        assert codes == (0, 0), first.log.read_text() + second.log.read_text()
    for host in (first, second):  # what is to be seen where the other never comes
        (line,) = [line for line in host.log.read_text().splitlines() if "event=rendezvous" in line]
        assert line.endswith(" hosts=2")
    assert train(alone, "--processes=2") == 0, capfd.readouterr().err
    assert metrics_of(first.folders)["epochs"] == metrics_of(alone)["epochs"]
    published = [one.model / "model" / "1" / "model.onnx" for one in (first.folders, alone)]
    assert published[0].read_bytes() == published[1].read_bytes()
    assert not second.folders.model.exists()  # the first one's is the job's
    assert all(host.folders.success.is_file() for host in (first, second))


def test_hosts_end_together_when_one_is_told(tmp_path: Path) -> None:
    with hosts(tmp_path, epochs="500") as (first, second):
        checkpoints = first.folders.checkpoints
        wait_until(lambda: any(checkpoints.glob(f"checkpoint-*/{MANIFEST}")), RUN_S)
        second.process.send_signal(signal.SIGTERM)
        codes = first.wait(), second.wait()
        assert codes == (143, 143), first.log.read_text() + second.log.read_text()
    for host in (first, second):
        assert failure(host.folders).startswith("Stopped: ")
        assert "Traceback" not in host.log.read_text()
    # Only the first has the checkpoints; started again so, the hosts say what is missing.
    with hosts(tmp_path, epochs="500") as (first, second):
        codes = first.wait(), second.wait()
        assert codes == (1, 1), first.log.read_text() + second.log.read_text()
    assert all(
        "different checkpoints, checkpoint-" in failure(one.folders) for one in (first, second)
    )


def test_a_host_that_is_told_while_it_waits_for_the_others_stops(tmp_path: Path) -> None:
    with two_nodes(NAMES[0]) as nodes:
        folders = write_container(tmp_path)
        write_resources(folders, NAMES[1], NAMES, "lo")
        host = started(nodes, 1, folders, free_port())
        try:
            wait_until(lambda: "event=rendezvous" in host.log.read_text(), RUN_S)
            host.process.send_signal(signal.SIGTERM)
            assert host.wait() == 143, host.log.read_text()
        finally:
            end(host.process)
    assert failure(folders).startswith("Stopped: ")
    assert "Traceback" not in host.log.read_text()


@pytest.mark.parametrize("rank", [0, 1])
def test_hosts_that_do_not_meet_say_who_and_where(rank: int, tmp_path: Path) -> None:
    folders = write_container(tmp_path)
    names = ("127.0.0.1", "localhost")
    write_resources(folders, names[rank], names, "lo")
    with ExitStack() as stack:
        port = free_port()
        if rank == 0:  # something else has the port; nobody meets the other host there
            stack.enter_context(socket.create_server((names[0], port)))
        host = started(Nodes(((), ()), names[0]), rank, folders, port, PET_RDZV_CONF="timeout=2")
        try:
            assert host.wait() == 1, host.log.read_text()
        finally:
            end(host.process)
    said = failure(folders)
    assert said.startswith(
        f"AlgorithmError: host {names[rank]}: the 2 hosts of this job did not meet at 127.0.0.1:{port}"
    )
    assert "start all of 127.0.0.1, localhost" in said
    assert "event=no_rendezvous reason=" in host.log.read_text()
    assert "Traceback" not in host.log.read_text()


def test_a_host_that_is_lost_ends_the_other_and_both_say_so(tmp_path: Path) -> None:
    with hosts(tmp_path, epochs="500") as (first, second):
        checkpoints = first.folders.checkpoints
        wait_until(lambda: any(checkpoints.glob(f"checkpoint-*/{MANIFEST}")), RUN_S)
        psutil.Process(second.process.pid).children(recursive=True)[-1].kill()
        codes = first.wait(), second.wait()
        assert codes == (1, 1), first.log.read_text() + second.log.read_text()
    one, other = (host.folders for host in (first, second))
    assert "another process of this training is gone" in failure(one)
    assert "was ended from outside" in failure(other)
