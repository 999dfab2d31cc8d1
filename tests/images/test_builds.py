"""What the built images are, and what they are rebuilt from."""

import os
import shutil
import uuid
from importlib.metadata import distribution
from pathlib import Path

import pytest

from images import ROOT, Build, ImagesError, build_image
from tests.images.conftest import REVISION, VERSION
from tests.images.containers import Container, Image, buildah, mounted

pytestmark = [pytest.mark.images, pytest.mark.timeout(1800)]

SERVING_LIMIT_BYTES = 1_200_000_000
COMPILERS = ("cc", "gcc", "g++", "clang", "ld", "as", "make", "nvcc")
INSTALL = "--requirement"
CACHED = "--> Using cache"


def test_serving_image_says_what_an_engine_needs(serving: Image) -> None:
    config = serving.config
    assert config["User"] == "1000:1000"
    assert config["Entrypoint"] == ["aperture-serve"]
    assert sorted(config["ExposedPorts"]) == ["8080/tcp", "8081/tcp"]
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert "ORT_DISABLE_TELEMETRY=1" in config["Env"]
    assert config.get("StopSignal", "SIGTERM") == "SIGTERM"


def test_training_image_says_what_an_engine_needs(training: Image) -> None:
    config = training.config
    assert config["User"] == "1000:1000"
    assert config["Entrypoint"] == ["aperture-train"]
    assert config["Healthcheck"]["Test"] == ["NONE"]
    assert config["StopSignal"] == "SIGTERM"


@pytest.mark.usefixtures("training")
def test_training_image_runs_as_the_user_of_its_build(base_image: str) -> None:
    build = Build("train", "cpu", base_image, f"{VERSION}-root", revision=REVISION, run_as="0:0")
    build_image("buildah", build, os.environ)
    config = Image.of(build.tag).config
    buildah("rmi", *build.tags)
    assert config["User"] == "0:0"


@pytest.mark.parametrize("name", ["serving", "training"])
def test_labels_and_no_setting_of_the_building_machine(
    name: str, request: pytest.FixtureRequest
) -> None:
    image: Image = request.getfixturevalue(name)
    prefix = "org.opencontainers.image."
    labels = {
        key.removeprefix(prefix): value
        for key, value in image.config["Labels"].items()
        if key.startswith(prefix)
    }
    assert set(labels) == {"title", "description", "licenses", "version", "revision"}
    assert labels["licenses"] == distribution("aperture-vision").metadata["License-Expression"]
    assert (labels["version"], labels["revision"]) == (VERSION, REVISION)
    settings = ("PIP_INDEX_URL", "PIP_FIND_LINKS", "PIP_CERT")
    told = buildah("inspect", "--type", "image", image.tag)
    assert [name for name in settings if os.environ.get(name, name) in told] == []
    with mounted(image.tag) as (_, root):
        assert {path.name for path in (root / "opt").iterdir()} <= {"aperture", "ml"}
        assert not (root / "etc/pip.conf").exists()


@pytest.mark.parametrize("name", ["serving", "training"])
def test_neither_compiler_nor_pip_cache(name: str, request: pytest.FixtureRequest) -> None:
    image: Image = request.getfixturevalue(name)
    with mounted(image.tag) as (_, root):
        folders = ("opt/aperture/bin", "usr/local/bin", "usr/bin", "usr/sbin")
        found = [root / folder / tool for folder in folders for tool in COMPILERS]
        assert not [path for path in found if path.is_symlink() or path.exists()]
        assert not list(root.glob("opt/aperture/lib/python3*/site-packages/pip"))
        assert not [path for home in ("root", "tmp") for path in (root / home / ".cache").glob("*")]
        assert not (root / "src").exists()


def test_serving_image_has_no_torch_and_stays_small(serving: Image) -> None:
    for package in ("torch", "transformers", "trainer"):
        code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is not None)"
        Container(serving, ("-c", code), entry_point=("python3",)).finish()
    with mounted(serving.tag) as (_, root):
        assert _bytes(root) < SERVING_LIMIT_BYTES


@pytest.mark.parametrize("name", ["serving", "training"])
def test_versions_are_those_of_the_constraints(name: str, request: pytest.FixtureRequest) -> None:
    image: Image = request.getfixturevalue(name)
    code = (
        "from importlib.metadata import distributions as d\n"
        "print(*(f'{x.name}=={x.version}' for x in d()), sep='\\n')"
    )
    printed = Container(image, ("-c", code), entry_point=("/opt/aperture/bin/python3",)).finish()
    installed = {_normal(line) for line in printed.split()}
    pinned = {
        _normal(line)
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    }
    assert len(installed) > 50
    assert {
        line for line in installed - pinned if not line.startswith("aperture-vision==")
    } == set()
    backend = (
        "from importlib.metadata import distribution as d\n"
        "print(d('aperture-vision').read_text('WHEEL'))"
    )
    printed = Container(image, ("-c", backend), entry_point=("/opt/aperture/bin/python3",)).finish()
    name_and_version = next(line for line in pinned if line.startswith("setuptools=="))
    assert f"Generator: setuptools ({name_and_version.partition('==')[2]})" in printed.splitlines()


@pytest.mark.parametrize(
    ("name", "module"), [("serving", "server.assembly"), ("training", "trainer.fit")]
)
def test_bytecode_needs_no_place_to_be_written(
    name: str, module: str, request: pytest.FixtureRequest
) -> None:
    """Python says of each module whether it came from a .pyc, or was compiled from its text."""
    image: Image = request.getfixturevalue(name)
    script = f"python3 -v -c 'import {module}' 2>&1"
    told = Container(image, ("-c", script), entry_point=("sh",)).finish()
    compiled = [line for line in told.splitlines() if "code object from '/opt/" in line]
    matched = [line for line in told.splitlines() if ".pyc matches " in line]
    assert [line for line in compiled if ".pyc'" not in line] == []
    assert len(matched) > 100


@pytest.mark.parametrize(
    ("image", "changed"), [("serve", "server/app.py"), ("train", "trainer/fit.py")]
)
def test_a_change_of_code_or_version_installs_no_dependency(
    image: str, changed: str, base_image: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    request.getfixturevalue({"serve": "serving", "train": "training"}[image])
    context = _copy_of_the_tree(tmp_path / "tree")
    with (context / changed).open("a", encoding="utf-8") as file:
        # buildah's storage outlives a run, so a change that an earlier run made would be cached.
        file.write(f"# {uuid.uuid4()}\n")
    pyproject = context / "pyproject.toml"
    text = pyproject.read_text(encoding="utf-8")
    assert text.count('version = "0.') == 1
    pyproject.write_text(text.replace('version = "0.', 'version = "9.'), encoding="utf-8")
    build = Build(image, "cpu", base_image, f"{VERSION}-changed", "", REVISION, context)
    steps = _steps(build_image("buildah", build, os.environ))
    buildah("rmi", *build.tags)
    (install,) = [step for step in steps if INSTALL in step]
    (code,) = [step for step in steps if "--no-deps" in step]
    assert CACHED in install
    assert CACHED not in code


def test_unknown_extra_is_refused(base_image: str, capfd: pytest.CaptureFixture[str]) -> None:
    build = Build("serve", "cuda", base_image, VERSION)
    with pytest.raises(ImagesError, match="ended with status"):
        build_image("buildah", build, os.environ)
    assert "EXTRA is 'cuda', but must be cpu, gpu or tensorrt" in capfd.readouterr().out


def _normal(requirement: str) -> str:
    name, _, version = requirement.strip().partition("==")
    return f"{name.lower().replace('_', '-').replace('.', '-')}=={version.partition('+')[0]}"


def _bytes(root: Path) -> int:
    """What the files below a folder hold; one with several names counts once."""
    sizes: dict[int, int] = {}
    for folder, _, names in os.walk(root):
        for name in names:
            status = (Path(folder) / name).lstat()
            sizes[status.st_ino] = status.st_size
    return sum(sizes.values())


def _copy_of_the_tree(folder: Path) -> Path:
    """What the builds read, with its times."""
    folder.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("contract", "trainer", "server"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    files = ["constraints.txt", "pyproject.toml", "requirements.py", "README.md"]
    for name in [*files, "LICENSE", ".dockerignore", "Dockerfile.serve", "Dockerfile.train"]:
        shutil.copy2(ROOT / name, folder / name)
    return folder


def _steps(output: str) -> list[str]:
    """A build's output, cut where a step begins."""
    return output.split("] STEP ")[1:]
