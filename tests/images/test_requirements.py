"""What the layers of dependencies install; no image is built here."""

import re
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from images import EXTRAS, IMAGES, ROOT
from requirements import requirements

PYPROJECT = ROOT / "pyproject.toml"


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("extra", EXTRAS)
def test_an_image_installs_what_pip_would_for_its_extras(image: str, extra: str) -> None:
    """As the installed project's own metadata has them, which setuptools wrote."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    listed = {_said(line) for line in requirements(project, [f"{image}-{extra}", "s3"])}
    assert listed == _of_metadata({f"{image}-{extra}", "s3"})


def test_another_version_and_other_tools_leave_the_list_as_it_is(tmp_path: Path) -> None:
    text = PYPROJECT.read_text(encoding="utf-8")
    changed = tmp_path / "pyproject.toml"
    changed.write_text(
        re.sub('^version = ".*"$', 'version = "9"', text, flags=re.MULTILINE)
        + "[tool.another]\nsetting = 1\n",
        encoding="utf-8",
    )
    assert _printed(changed, "serve-cpu") == _printed(PYPROJECT, "serve-cpu") != ""


def test_an_extra_that_is_not_there_is_one_line() -> None:
    done = _run(PYPROJECT, "serve-abacus")
    assert done.returncode == 1
    assert re.fullmatch(
        r"requirements: \S+ has no extra 'serve-abacus', but train-base, .*\n", done.stderr
    )


def test_every_requirement_has_its_exact_version() -> None:
    pinned = _pinned()
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    extras = [f"{image}-{extra}" for image in IMAGES for extra in EXTRAS]
    named = {_said(line)[0] for line in requirements(project, [*extras, "s3", "dev"])}
    assert named - set(pinned) == set()


def test_the_project_is_built_by_the_pinned_backend() -> None:
    """As the wheel says that `make install` built; test_builds.py has those of the images."""
    wheel = _installed().read_text("WHEEL") or ""
    assert f"Generator: setuptools ({_pinned()['setuptools']})" in wheel.splitlines()


def _installed() -> Distribution:
    """The project as pip installed it; the root's own *.egg-info, which knows no wheel, is another."""
    [found] = distributions(name="aperture-vision", path=[sysconfig.get_path("purelib")])
    return found


def _of_metadata(extras: set[str]) -> set[tuple[str, frozenset[str], str]]:
    """What the installed project requires with some extras, its own extras followed."""
    found: set[tuple[str, frozenset[str], str]] = set()
    declared = [Requirement(line) for line in _installed().requires or ()]
    for wanted in declared:
        if wanted.marker is None or any(wanted.marker.evaluate({"extra": x}) for x in extras):
            if canonicalize_name(wanted.name) == "aperture-vision":
                found |= _of_metadata(wanted.extras)
            else:
                found.add(_said(f"{wanted.name}[{','.join(wanted.extras)}]{wanted.specifier}"))
    return found


def _said(line: str) -> tuple[str, frozenset[str], str]:
    said = Requirement(line)
    return canonicalize_name(said.name), frozenset(said.extras), str(said.specifier)


def _pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if "==" in line)
    return {canonicalize_name(name): version for name, version in pairs}


def _printed(pyproject: Path, extra: str) -> str:
    done = _run(pyproject, extra)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _run(pyproject: Path, extra: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "requirements.py"), str(pyproject), extra]
    return subprocess.run(command, capture_output=True, text=True, check=False)
