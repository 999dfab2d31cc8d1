"""Containers without an engine's daemon: by `buildah run`, and as a restricted pod has them.

Both take the image's own user, variables and entry point. `buildah run --isolation chroot` is the
plain way. The restricted way mounts the image's root read-only in a mount and a process namespace
of its own, where the program is process 1, has no capability and can gain none: what Kubernetes'
pod security standard "restricted" and a read-only root file system leave a program.
"""

import contextlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from images import UNLUCKY

_RUN_S = 300.0

_RESTRICTED = """
set -e
root=$1 uid=$2 gid=$3 tmp=$4
shift 4
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount --bind "$tmp" "$root/tmp"
while [ "$1" != -- ]; do
    mount --bind "$1" "$root$2"
    mount -o "remount,bind,$3" "$root$2"
    shift 3
done
shift
mount -o remount,bind,ro "$root"
exec chroot "$root" setpriv --reuid="$uid" --regid="$gid" --clear-groups --inh-caps=-all \\
    --bounding-set=-all --no-new-privs -- env --ignore-environment "$@"
"""


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder of this machine in a container."""

    source: Path
    target: str
    writable: bool = False

    @property
    def mode(self) -> str:
        return "rw" if self.writable else "ro"


@dataclass(frozen=True, slots=True)
class Image:
    """A built image and its configuration, as Docker's format has it."""

    tag: str
    config: dict[str, Any]

    @classmethod
    def of(cls, tag: str) -> "Image":
        inspected = json.loads(buildah("inspect", "--type", "image", tag))
        return cls(tag, inspected["Docker"]["config"])


@dataclass(frozen=True, slots=True)
class Container:
    """What is to be run.

    Attributes:
        image: The image.
        arguments: The arguments of the entry point.
        mounts: The folders that it sees.
        variables: Variables beside the image's own, as NAME=VALUE.
        user: uid:gid; the image's own if None.
        entry_point: What is run in the place of the image's own.
    """

    image: Image
    arguments: Sequence[str]
    mounts: Sequence[Mount] = ()
    variables: Sequence[str] = ()
    user: str | None = None
    entry_point: Sequence[str] | None = None

    @property
    def command(self) -> list[str]:
        own = self.image.config["Entrypoint"]
        return [*(own if self.entry_point is None else self.entry_point), *self.arguments]

    def finish(self) -> str:
        """Run it by buildah to its end, which must be good, and return what it printed."""
        with mounted(self.image.tag) as (name, _):
            command = self._by_buildah(name)
            for _ in range(2):
                done = subprocess.run(
                    command, capture_output=True, text=True, check=False, timeout=_RUN_S
                )
                if UNLUCKY not in done.stderr:
                    break
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextlib.contextmanager
    def running(self, log: Path) -> Iterator["Running"]:
        """It runs by buildah."""
        with mounted(self.image.tag) as (name, _), _started(self._by_buildah(name), log) as running:
            yield running

    @contextlib.contextmanager
    def restricted(self, log: Path, tmp: Path) -> Iterator["Running"]:
        """It runs as a restricted pod, with a folder of this machine as its /tmp."""
        user, _, group = (self.user or self.image.config["User"]).partition(":")
        with mounted(self.image.tag) as (_, root):
            command = ["unshare", "--mount", "--pid", "--fork", "--propagation", "private"]
            command += ["sh", "-c", _RESTRICTED, "restricted", str(root), user, group, str(tmp)]
            for mount in self.mounts:
                (root / mount.target[1:]).mkdir(parents=True, exist_ok=True)
                command += [str(mount.source), mount.target, mount.mode]
            command += ["--", *self.image.config["Env"], *self.variables, *self.command]
            with _started(command, log) as running:
                yield running

    def _by_buildah(self, name: str) -> list[str]:
        command = ["buildah", "run"]
        for mount in self.mounts:
            command += ["--volume", f"{mount.source}:{mount.target}:{mount.mode}"]
        for variable in self.variables:
            command += ["--env", variable]
        if self.user is not None:
            command += ["--user", self.user]
        return [*command, name, "--", *self.command]


@dataclass(frozen=True, slots=True)
class Running:
    """A running container."""

    started: "subprocess.Popen[bytes]"
    log: Path

    @property
    def program(self) -> psutil.Process:
        """The image's own program, the last of the chain of processes that started it."""
        return psutil.Process(self.started.pid).children(recursive=True)[-1]

    def stop(self, number: int) -> int:
        """Send the program a signal, as an engine would, and return the container's exit status."""
        self.program.send_signal(number)
        return self.started.wait(_RUN_S)


def buildah(*arguments: str) -> str:
    """What buildah prints; it must end well."""
    done = subprocess.run(["buildah", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextlib.contextmanager
def mounted(image: str) -> Iterator[tuple[str, Path]]:
    """A container of an image, which is not started: its name, and its root in this file system."""
    name = buildah("from", image)
    try:
        yield name, Path(buildah("mount", name))
    finally:
        buildah("rm", name)


@contextlib.contextmanager
def _started(command: Sequence[str], log: Path) -> Iterator[Running]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        yield Running(process, log)
    finally:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.wait()
