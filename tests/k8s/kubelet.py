"""A pod's start, life and end on this machine, in namespaces of its own; run by tests as a program.

    unshare --mount --net ... python -m tests.k8s.kubelet < POD.json > WHAT_HAPPENED.json

The container is a process whose root file system is read-only and whose user, mounts, arguments,
environment and ports are those of the pod; the image is this machine. Without root on this machine
there is no other user to be had, and it stays the test's. Probes are called on their schedule, as the
kubelet calls them: startup until it succeeds, then the two others.
"""

import contextlib
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from contract.locations import Bucket
from tests.k8s.pods import MODELS
from tests.picture_files import instances, noise_png
from tests.storage.local_s3 import local_s3, make_bucket
from tests.tiny_models import publish_colour

_SET_FLAGS, _IS_UP, _REQUEST = 0x8914, 0x1, "16sh"
_ANSWER_S: Final = 60.0
READY, LIVE = "readinessProbe", "livenessProbe"


@dataclass
class Probes:
    """Which probes of a container succeeded, with the time of each call.

    Attributes:
        container: The container of the pod.
        done: Seconds since the start, the probe and whether it succeeded, of each call.
    """

    container: dict[str, Any]
    started: float
    done: list[tuple[float, str, bool]] = field(default_factory=list)

    def start(self) -> None:
        """Call the startup probe until it succeeds."""
        probe = self.container["startupProbe"]
        for _ in range(probe["failureThreshold"]):
            time.sleep(probe["periodSeconds"])
            if self.call("startupProbe"):
                return
        raise SystemExit(f"not started: {self.done}")

    def run_until(self, wanted: Callable[[], bool], within_s: float) -> None:
        """Call readiness and liveness on their schedules until `wanted`."""
        begun = time.monotonic()
        due = dict.fromkeys((READY, LIVE), begun)
        while not wanted():
            if time.monotonic() - begun > within_s:
                raise SystemExit(f"not within {within_s} s: {self.done}")
            name = min(due, key=lambda one: due[one])
            time.sleep(max(0.0, due[name] - time.monotonic()))
            self.call(name)
            due[name] += self.container[name]["periodSeconds"]

    def call(self, name: str) -> bool:
        """One call, which fails as a whole after its timeout."""
        probe = self.container[name]
        where = probe["httpGet"]
        try:
            answer = httpx.get(
                f"http://127.0.0.1:{where['port']}{where['path']}", timeout=probe["timeoutSeconds"]
            )
            succeeded = 200 <= answer.status_code < 400
        except httpx.TransportError:
            succeeded = False
        self.done.append((time.monotonic() - self.started, name, succeeded))
        return succeeded

    def ready(self) -> bool:
        """Whether the last readiness probe succeeded."""
        return next((ok for _, name, ok in reversed(self.done) if name == READY), False)


def mount_all(pod: dict[str, Any]) -> None:
    """Mount the container's volumes, and let it write nowhere else."""
    (container,) = pod["spec"]["containers"]
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    _run("mount", "--make-rprivate", "/")
    _run("mount", "-t", "tmpfs", "tmpfs", "/mnt")
    for mount in container["volumeMounts"]:
        path = Path(mount["mountPath"])
        path.mkdir(parents=True, exist_ok=True)
        if "emptyDir" in volumes[mount["name"]] and mount["mountPath"] != MODELS:
            continue  # later, so that what lies in this machine's /tmp can be mounted
        _run("mount", "--bind", pod["folders"]["models"], str(path))
        if mount.get("readOnly"):
            _run("mount", "-o", "remount,bind,ro", str(path))
    volume = Path("/mnt/volume")  # the trainer's mount of the same claim
    volume.mkdir()
    _run("mount", "--bind", pod["folders"]["volume"], str(volume))
    _run("mount", "-o", "remount,bind,ro", "/")
    for mount in container["volumeMounts"]:
        if mount["mountPath"] != MODELS and "emptyDir" in volumes[mount["name"]]:
            _run("mount", "-t", "tmpfs", "tmpfs", mount["mountPath"])


def raise_loopback() -> None:
    """Set the namespace's loopback up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack(_REQUEST, b"lo", _IS_UP))


def ask(model: str) -> dict[str, float]:
    """The scores of a picture, by label."""
    url = f"http://127.0.0.1:8080/v1/models/{model}:predict"
    answer = httpx.post(url, json=instances(noise_png(1)), timeout=_ANSWER_S)
    answer.raise_for_status()
    (labels,) = answer.json()["predictions"]
    return {entry["label"]: entry["score"] for entry in labels}


@contextlib.contextmanager
def bucket_of(pod: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Where the pod has a bucket: an S3 server, empty; yields the variables of the pod's Secret."""
    if (described := pod.get("bucket")) is None:
        yield {}
        return
    with local_s3(Path("/mnt/volume")) as server:
        os.environ.update(server.environ)
        make_bucket(Bucket(described["url"]))
        publish_scale(pod, described["scale"])
        yield {name: server.environ[name] for name in described["variables"]}


def publish_scale(pod: dict[str, Any], scale: float) -> None:
    """Publish a version as the training does, into the bucket or the volume."""
    place = Bucket(pod["bucket"]["url"]) if "bucket" in pod else Path("/mnt/volume")
    publish_colour(place, scale, pod["model"])


def live(pod: dict[str, Any], variables: dict[str, str]) -> dict[str, Any]:
    """Start the container, let it serve and perhaps change its model, and end it."""
    (container,) = pod["spec"]["containers"]
    environ = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environ |= variables
    environ |= {entry["name"]: entry["value"] for entry in container.get("env", ())}
    started = time.monotonic()
    process = subprocess.Popen(
        [*as_user(pod), *container["command"], *container["args"]],
        env=environ,
        cwd="/",
        stdout=sys.stderr,
    )
    try:
        probes = Probes(container, started)
        probes.start()
        probes.run_until(probes.ready, within_s=120)
        answers = [ask(pod["model"])]
        if scale := pod.get("publish"):
            publish_scale(pod, scale)
            probes.run_until(lambda: ask(pod["model"]) != answers[0], within_s=120)
            answers.append(ask(pod["model"]))
        user = Path(f"/proc/{process.pid}").stat().st_uid
        return {
            "answers": answers,
            "user": user,
            **end(pod, process, probes),
            "probes": probes.done,
        }
    finally:
        process.kill()
        process.wait()


def end(pod: dict[str, Any], process: "subprocess.Popen[bytes]", probes: Probes) -> dict[str, Any]:
    """SIGTERM, as the kubelet sends it while proxies still send requests; SIGKILL if it is late."""
    grace_s = pod["spec"]["terminationGracePeriodSeconds"]
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    while probes.call(READY):  # at once, because the delay that is watched is as short as a period
        if time.monotonic() - begun > grace_s:
            raise SystemExit("still ready")
    late = ask(pod["model"])
    try:
        status = process.wait(timeout=begun + grace_s - time.monotonic())
    except subprocess.TimeoutExpired:
        process.kill()
        status = process.wait()
    return {"late": late, "status": status, "ended_s": time.monotonic() - begun}


def give_volumes(pod: dict[str, Any]) -> None:
    """Give the volumes to the pod's group, as the kubelet does for `fsGroup`."""
    if not has_users(pod):
        return
    for folder in pod["folders"].values():
        for path in (Path(folder), *Path(folder).rglob("*")):
            os.chown(path, -1, pod["spec"]["securityContext"]["fsGroup"])
            path.chmod(path.stat().st_mode | (0o2070 if path.is_dir() else 0o060))


def has_users(pod: dict[str, Any]) -> bool:
    """Whether the pod's user is one here: not where root is another user, in a namespace."""
    _, _, count = Path("/proc/self/uid_map").read_text(encoding="ascii").split()[:3]
    return int(count) > int(security_of(pod)["runAsUser"])


def security_of(pod: dict[str, Any]) -> dict[str, Any]:
    """The container's security context over the pod's."""
    (container,) = pod["spec"]["containers"]
    context: dict[str, Any] = {**pod["spec"]["securityContext"], **container["securityContext"]}
    return context


def as_user(pod: dict[str, Any]) -> list[str]:
    """A command's first words, which give it the container's user, groups and privileges.

    It may read what it is not allowed to, because Python on this machine may be root's alone.
    """
    if not has_users(pod):
        return []
    context = security_of(pod)
    kept = "-all,+dac_read_search"
    words = ["setpriv", f"--reuid={context['runAsUser']}", f"--regid={context['runAsGroup']}"]
    words += [f"--groups={context['fsGroup']}", f"--inh-caps={kept}", f"--ambient-caps={kept}"]
    return [*words, f"--bounding-set={kept}", "--no-new-privs"]


def _run(*words: str) -> None:
    subprocess.run(words, check=True)


if __name__ == "__main__":
    described = json.load(sys.stdin)
    give_volumes(described)
    mount_all(described)
    raise_loopback()
    with bucket_of(described) as secret:
        json.dump(live(described, secret), sys.stdout)
