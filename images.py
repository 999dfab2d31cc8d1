"""make images: the images of Dockerfile.serve and Dockerfile.train, and their sizes.

They are built by docker, podman or buildah: the first of these that works here. The variables
PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS and PIP_CERT, which pip itself reads, go into the
build as secrets, which stay out of the images. PIP_FIND_LINKS may name one folder of this machine, which
is mounted read-only; docker has no such mounts. BUILDAH_ISOLATION=chroot lets podman and buildah build
where no container can be started.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

ENGINES: Final = ("docker", "podman", "buildah")
IMAGES: Final = ("serve", "train")
EXTRAS: Final = ("cpu", "gpu", "tensorrt")
ROOT: Final = Path(__file__).resolve().parent

_BUILD: Final[Mapping[str, Sequence[str]]] = {
    "docker": ("docker", "build"),
    # The OCI format has no health checks.
    "podman": ("podman", "build", "--format", "docker"),
    "buildah": ("buildah", "bud", "--format", "docker", "--layers"),
}
_PIP_CONF: Final[Mapping[str, str]] = {
    "PIP_INDEX_URL": "index-url",
    "PIP_EXTRA_INDEX_URL": "extra-index-url",
    "PIP_FIND_LINKS": "find-links",
    "PIP_CERT": "cert",
}
_LINKS: Final = "/mnt"
"""Where a folder of wheels is mounted; it exists in every image, so that nothing stays of the mount."""
_CERT: Final = "/etc/pip.crt"
_HINTS: Final[Mapping[str, str]] = {
    "tensorrt": "TensorRT's wheels are on NVIDIA's index alone; if pip could not get them, set "
    "PIP_EXTRA_INDEX_URL=https://pypi.nvidia.com or to a mirror of it",
}
"""What else is to be said of a build that failed, by its extra."""
UNLUCKY: Final = "sealing memfd copy: Device or resource busy"
"""What buildah says where the kernel still holds a page of the copy of itself that it runs a step by."""

_LABEL: Final = "org.opencontainers.image"


class ImagesError(Exception):
    """No image can be built; the message says why."""


@dataclass(frozen=True, slots=True)
class Build:
    """One image to build.

    Attributes:
        image: serve or train.
        extra: cpu, gpu or tensorrt.
        base_image: What it is built on; that of the Dockerfile if None.
        version: The project's version.
        source: Where the source code is published, or nothing.
        revision: The commit, or nothing; no label is made of nothing.
        context: The folder that is built.
        run_as: Whom the trainer runs as, UID:GID; that of the Dockerfile if None. The tag is the same.
    """

    image: str
    extra: str = "cpu"
    base_image: str | None = None
    version: str = ""
    source: str = ""
    revision: str = ""
    context: Path = ROOT
    run_as: str | None = None

    @property
    def tag(self) -> str:
        """The image's name, such as aperture-serve:0.1.0-gpu; that of the CPU's has no suffix."""
        return self.tags[0]

    @property
    def tags(self) -> tuple[str, ...]:
        """All its names; compose.yaml calls that of the CPU's aperture-serve:0.1.0-cpu."""
        plain = f"aperture-{self.image}:{self.version}"
        named = f"{plain}-{self.extra}"
        return (plain, named) if self.extra == "cpu" else (named,)


def main() -> None:
    """Build what the command line names."""
    flags = argparse.ArgumentParser(description="Build the images and print their sizes.")
    flags.add_argument("--image", choices=IMAGES, help="both, if not given")
    flags.add_argument("--extra", choices=EXTRAS, default="cpu", help="what they run on")
    flags.add_argument("--base_image", help="an image with Python 3.11 in the Dockerfile's place")
    flags.add_argument("--source", default="", help="the label org.opencontainers.image.source")
    flags.add_argument("--engine", choices=ENGINES, help="the first that works, if not given")
    flags.add_argument(
        "--run_as", help="UID:GID of the training image in place of 1000:1000; SageMaker's is 0:0"
    )
    given = flags.parse_args()
    if given.run_as and given.image == "serve":
        flags.error("--run_as is of the training image; the server writes nothing, whoever it is")
    try:
        engine = given.engine or working_engine()
        for image in [given.image] if given.image else IMAGES:
            build = Build(
                image,
                given.extra,
                given.base_image,
                version(),
                given.source,
                revision(),
                run_as=given.run_as if image == "train" else None,
            )
            build_image(engine, build, os.environ)
            print(f"{build.tag}  {size(engine, build.tag)}  by {engine}", flush=True)
    except ImagesError as err:
        sys.exit(f"images: {err}")


def working_engine() -> str:
    """The first engine that answers.

    Raises:
        ImagesError: None does.
    """
    failures = []
    for engine in ENGINES:
        if shutil.which(engine) is None:
            failures.append(f"{engine} is not installed")
            continue
        done = subprocess.run([engine, "info"], capture_output=True, text=True, check=False)
        errors = done.stderr.strip().splitlines()
        # Without its daemon, some versions of docker's client end with 0.
        if done.returncode == 0 and not any("Cannot connect" in line for line in errors):
            return engine
        failures.append(f"{engine} info says: {errors[-1] if errors else done.returncode}")
    raise ImagesError(f"no container engine works here: {'; '.join(failures)}")


def build_command(
    engine: str, build: Build, environ: Mapping[str, str], pip_conf: Path
) -> list[str]:
    """The command that builds an image.

    Args:
        engine: docker, podman or buildah.
        build: The image.
        environ: The variables of pip.
        pip_conf: Where pip_settings is written.

    Raises:
        ImagesError: A variable of pip names what the build cannot see.
    """
    _check_indexes(environ)
    arguments = {"EXTRA": build.extra, "BASE_IMAGE": build.base_image, "RUN_AS": build.run_as}
    # No time of the build: the image has it, and a label of it would make each build another image.
    labels = {
        f"{_LABEL}.source": build.source,
        f"{_LABEL}.version": build.version,
        f"{_LABEL}.revision": build.revision,
    }
    command = [*_BUILD[engine], "--file", str(build.context / f"Dockerfile.{build.image}")]
    for tag in build.tags:
        command += ["--tag", tag]
    command += ["--secret", f"id=pip,src={pip_conf}"]
    if environ.get("PIP_CERT"):
        command += ["--secret", f"id=pip_cert,src={environ['PIP_CERT']}"]
    folder = _wheels(environ)
    if folder is not None:
        if engine == "docker":
            raise ImagesError(f"docker cannot mount PIP_FIND_LINKS={folder}; unset it, or serve it")
        command += ["--volume", f"{folder}:{_LINKS}:ro"]
    for flag, values in (("--build-arg", arguments), ("--label", labels)):
        for name, value in values.items():
            if value:
                command += [flag, f"{name}={value}"]
    return [*command, str(build.context)]


def pip_settings(environ: Mapping[str, str]) -> str:
    """The pip.conf of a build."""
    lines = ["[global]"]
    for name, key in _PIP_CONF.items():
        value = environ.get(name, "")
        if name == "PIP_CERT" and value:
            value = _CERT
        if name == "PIP_FIND_LINKS":
            value = " ".join(link if _path(link) is None else _LINKS for link in value.split())
        if value:
            lines.append(f"{key} = {value}")
    return "\n".join([*lines, ""])


def _check_indexes(environ: Mapping[str, str]) -> None:
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        for link in environ.get(name, "").split():
            if (path := _path(link)) is not None:
                raise ImagesError(
                    f"{name} names {path} of this machine, which a build cannot see; serve it, or name "
                    "a folder of wheels in PIP_FIND_LINKS"
                )


def _wheels(environ: Mapping[str, str]) -> Path | None:
    """The folder of this machine that PIP_FIND_LINKS names, where pip reads words."""
    links = environ.get("PIP_FIND_LINKS", "").split()
    folders = [path for link in links if (path := _path(link)) is not None]
    if len(folders) > 1:
        names = ", ".join(map(str, folders))
        raise ImagesError(f"PIP_FIND_LINKS names {names}, but one folder is mounted; join them")
    for folder in folders:
        if not folder.is_dir():
            raise ImagesError(f"PIP_FIND_LINKS names {folder}, which is no folder")
    return folders[0] if folders else None


def _path(link: str) -> Path | None:
    """What a link names on this machine; None if it is a server's."""
    url = urlsplit(link)
    if url.scheme == "file":
        return Path(url2pathname(url.path))
    return None if url.scheme else Path(link).expanduser().absolute()


def build_image(engine: str, build: Build, environ: Mapping[str, str]) -> str:
    """Build an image and return the build's output, which is printed too.

    Raises:
        ImagesError: The build fails, or the engine is not installed.
    """
    with tempfile.NamedTemporaryFile("w", prefix="pip-", suffix=".conf") as pip_conf:
        pip_conf.write(pip_settings(environ))
        pip_conf.flush()
        command = build_command(engine, build, environ, Path(pip_conf.name))
        try:
            return _run(command)
        except ImagesError as err:
            if hint := _HINTS.get(build.extra):
                raise ImagesError(f"{err}. {hint}") from err
            raise


def size(engine: str, tag: str) -> str:
    """The size of a built image on disk, in the engine's words.

    Raises:
        ImagesError: The engine knows no such image.
    """
    if engine == "buildah":
        return str(json.loads(_answer([engine, "images", "--json", tag]))[0]["size"])
    command = [engine, "image", "inspect", "--format", "{{.Size}}", tag]
    return f"{int(_answer(command)) / 1e6:.0f} MB"


def version() -> str:
    """The project's version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def revision() -> str:
    """The commit of this tree, as COMMIT-dirty if the tree differs from it; nothing outside of git."""
    commit = _git("rev-parse", "HEAD")
    return f"{commit}-dirty" if commit and _git("status", "--porcelain") else commit


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _run(command: Sequence[str]) -> str:
    """What a command prints, which is printed here, too; a second try where buildah was out of luck."""
    lines, status = _print(command)
    if status and any(UNLUCKY in line for line in lines):
        lines, status = _print(command)
    if status:
        raise ImagesError(f"`{' '.join(command[:2])}` ended with status {status}")
    return "".join(lines)


def _print(command: Sequence[str]) -> tuple[list[str], int]:
    # Docker's older builder, which some installations still start with, knows no secrets.
    environ = {**os.environ, "DOCKER_BUILDKIT": "1"}
    with (
        _installed(command[0]),
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ
        ) as process,
    ):
        lines = []
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    return lines, process.returncode


def _answer(command: Sequence[str]) -> str:
    with _installed(command[0]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise ImagesError(f"`{' '.join(command)}` says: {reason}")
    return done.stdout


@contextmanager
def _installed(engine: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as err:
        raise ImagesError(f"{engine} is not installed; give another --engine") from err


if __name__ == "__main__":
    main()
