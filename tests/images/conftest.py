"""The images, built once a run on a base that debootstrap makes.

Both live in buildah's own storage, so a second run builds only what changed.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from images import Build, build_image
from tests.images.containers import Container, Image, Mount, buildah, mounted

BASE = "localhost/aperture-base:bookworm"
VERSION = "test"
REVISION = "0123456789abcdef0123456789abcdef01234567"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "images" in config.option.markexpr:
        reason = _why_not()
        if reason is not None and "CI" in os.environ:
            raise pytest.UsageError(f"the images cannot be tested: {reason}")
    else:
        reason = "`make test-images` builds the images and runs them; it needs root and buildah"
    if reason is not None:
        for item in items:
            if item.get_closest_marker("images"):
                item.add_marker(pytest.mark.skip(reason=reason))


def _why_not() -> str | None:
    missing = [tool for tool in ("buildah", "debootstrap", "unshare") if not shutil.which(tool)]
    if missing:
        return f"not installed: {', '.join(missing)}; Debian's buildah, debootstrap, util-linux have them"
    if os.geteuid() != 0:
        return "not root, so no base image can be made and no root file system mounted"
    return None


@pytest.fixture(scope="session", autouse=True)
def _chroot_isolation() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BUILDAH_ISOLATION", "chroot")
        yield


@pytest.fixture(scope="session")
def base_image() -> str:
    """Debian bookworm with its Python 3.11, which stands for python:3.11-slim-bookworm."""
    if subprocess.run(
        ["buildah", "inspect", "--type", "image", BASE], capture_output=True, check=False
    ).returncode:
        with mounted("scratch") as (container, root):
            packages = "python3,python3-venv,ca-certificates"
            command = [
                "debootstrap",
                "--variant=minbase",
                f"--include={packages}",
                "bookworm",
                str(root),
            ]
            made = subprocess.run(command, capture_output=True, text=True, check=False)
            assert made.returncode == 0, made.stdout + made.stderr
            for leftover in ("var/cache/apt/archives", "var/lib/apt/lists"):
                shutil.rmtree(root / leftover)
            buildah("commit", "--quiet", container, BASE)
    return BASE


@pytest.fixture(scope="session")
def serving(base_image: str) -> Image:
    return _built("serve", base_image)


@pytest.fixture(scope="session")
def training(base_image: str) -> Image:
    return _built("train", base_image)


def _built(name: str, base_image: str) -> Image:
    build = Build(name, "cpu", base_image, VERSION, "", REVISION)
    build_image("buildah", build, os.environ)
    return Image.of(build.tag)


@pytest.fixture(scope="session")
def repository(training: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository that the training image published into, from pictures that it drew."""
    folder = tmp_path_factory.mktemp("trained")
    for name in ("data", "models", "runs"):
        (folder / name).mkdir()
        os.chown(folder / name, 1000, 1000)
    data = Mount(folder / "data", "/data", writable=True)
    draw = ["sample-data", "--task", "image-classification", "--count", "40", "/data/shapes"]
    Container(training, draw, (data,)).finish()
    places = (
        Mount(folder / "data", "/data"),
        Mount(folder / "models", "/models", writable=True),
        Mount(folder / "runs", "/runs", writable=True),
    )
    fit = ["fit", "--task", "image-classification", "--data", "/data/shapes", "--name", "shapes"]
    fit += ["--model_repository", "/models", "--output_dir", "/runs/shapes"]
    fit += ["--model", "resnet-tiny", "--input_size", "32", "--num_train_epochs", "1"]
    Container(training, fit, places).finish()
    return folder / "models"
