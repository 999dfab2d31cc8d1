"""What `make images` types; no image is built here."""

import os
import re
import shutil
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import images
from images import (
    ENGINES,
    Build,
    ImagesError,
    build_command,
    build_image,
    pip_settings,
    revision,
    size,
    working_engine,
)

CPU = Build("serve", version="1.2.3")
PIP_CONF = Path("/pip.conf")


@pytest.mark.parametrize(
    ("build", "tags"),
    [
        (CPU, ["aperture-serve:1.2.3", "aperture-serve:1.2.3-cpu"]),
        (Build("train", "gpu", version="1.2.3"), ["aperture-train:1.2.3-gpu"]),
    ],
)
def test_tags_name_the_version_and_what_it_runs_on(build: Build, tags: list[str]) -> None:
    command = build_command("docker", build, {}, PIP_CONF)
    assert [command[at + 1] for at, flag in enumerate(command) if flag == "--tag"] == tags
    assert build.tag == tags[0]


def test_health_check_is_kept_by_every_engine() -> None:
    assert build_command("docker", CPU, {}, PIP_CONF)[:2] == ["docker", "build"]
    for engine in ("podman", "buildah"):
        command = build_command(engine, CPU, {}, PIP_CONF)
        assert command[command.index("--format") + 1] == "docker"


def test_what_is_not_given_stays_the_dockerfile_s() -> None:
    command = build_command("docker", CPU, {}, PIP_CONF)
    given = [command[at + 1] for at, flag in enumerate(command) if flag == "--build-arg"]
    assert given == ["EXTRA=cpu"]


def test_make_gives_the_trainer_its_user_and_the_server_none(tmp_path: Path) -> None:
    told = [line for line in _make_images(tmp_path, "RUN_AS=0:0") if "RUN_AS" in line]
    (build,) = told
    assert "/Dockerfile.train " in build
    assert " --build-arg RUN_AS=0:0 " in build
    assert "RUN_AS" not in " ".join(_make_images(tmp_path))


def test_a_user_of_the_server_is_refused() -> None:
    command = [sys.executable, "images.py", "--image", "serve", "--run_as", "0:0"]
    done = subprocess.run(command, cwd=images.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--run_as is of the training image" in done.stderr


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_not_known_makes_no_label(engine: str) -> None:
    command = build_command(engine, CPU, {}, PIP_CONF)
    given = [command[at + 1] for at, flag in enumerate(command) if flag == "--label"]
    assert given == ["org.opencontainers.image.version=1.2.3"]


def test_a_changed_tree_does_not_claim_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "ROOT", tmp_path)
    assert revision() == ""
    _git(tmp_path, "init", "--quiet")
    assert revision() == ""
    (tmp_path / "file").write_text("first", encoding="utf-8")
    _git(tmp_path, "add", "file")
    _git(tmp_path, "commit", "--quiet", "--message", "first")
    commit = revision()
    assert re.fullmatch("[0-9a-f]{40}", commit)
    (tmp_path / "new").touch()
    assert revision() == f"{commit}-dirty"
    (tmp_path / "new").unlink()
    (tmp_path / "file").write_text("second", encoding="utf-8")
    assert revision() == f"{commit}-dirty"


@pytest.mark.parametrize("written", ["{0}/wheels", "wheels", "file://{0}/wheels"])
def test_wheels_of_this_machine_are_mounted_where_an_engine_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    """As pip reads it, beside the pages of servers."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "wheels"
    folder.mkdir()
    environ = {"PIP_FIND_LINKS": f"https://host/page {written.format(tmp_path)}"}
    assert pip_settings(environ) == "[global]\nfind-links = https://host/page /mnt\n"
    command = build_command("buildah", CPU, environ, PIP_CONF)
    assert command[command.index("--volume") + 1] == f"{folder}:/mnt:ro"
    with pytest.raises(ImagesError, match=f"docker cannot mount PIP_FIND_LINKS={folder}"):
        build_command("docker", CPU, environ, PIP_CONF)


def test_pages_of_servers_are_mounted_nowhere() -> None:
    environ = {"PIP_FIND_LINKS": "https://host/page http://other/page"}
    assert "--volume" not in build_command("docker", CPU, environ, PIP_CONF)
    assert pip_settings(environ) == ("[global]\nfind-links = https://host/page http://other/page\n")


def test_wheels_that_cannot_be_mounted_are_refused_in_one_line(tmp_path: Path) -> None:
    absent = {"PIP_FIND_LINKS": f"{tmp_path}/absent"}
    with pytest.raises(ImagesError, match=r"absent, which is no folder$"):
        build_command("buildah", CPU, absent, PIP_CONF)
    several = {"PIP_FIND_LINKS": f"{tmp_path} /other"}
    with pytest.raises(ImagesError, match=f"names {tmp_path}, /other, but one folder is mounted"):
        build_command("buildah", CPU, several, PIP_CONF)


@pytest.mark.parametrize("name", ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"])
def test_an_index_of_this_machine_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    environ = {name: f"https://host/simple file://{tmp_path}/simple"}
    with pytest.raises(ImagesError, match=f"^{name} names {tmp_path}/simple of this machine, .*$"):
        build_command("buildah", CPU, environ, PIP_CONF)


def test_settings_of_pip_are_secrets_and_no_arguments() -> None:
    environ = {"PIP_INDEX_URL": "https://user:password@index", "PIP_CERT": "/ca.crt"}
    assert pip_settings(environ) == (
        "[global]\nindex-url = https://user:password@index\ncert = /etc/pip.crt\n"
    )
    command = build_command("docker", CPU, environ, PIP_CONF)
    secrets = [command[at + 1] for at, flag in enumerate(command) if flag == "--secret"]
    assert secrets == ["id=pip,src=/pip.conf", "id=pip_cert,src=/ca.crt"]
    assert not [part for part in command if "password" in part]


def test_engine_that_does_not_answer_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImagesError, match="docker is not installed; podman is not installed"):
        working_engine()
    _program(tmp_path / "docker", "echo Cannot connect to the Docker daemon >&2; exit 1")
    with pytest.raises(ImagesError, match="docker info says: Cannot connect"):
        working_engine()
    _program(tmp_path / "buildah", "exit 0")
    assert working_engine() == "buildah"
    _program(tmp_path / "podman", "exit 0")
    assert working_engine() == "podman"


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_that_is_not_installed_or_knows_no_image_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for asked in (partial(build_image, engine, CPU, {}), partial(size, engine, CPU.tag)):
        with pytest.raises(
            ImagesError, match=f"^{engine} is not installed; give another --engine$"
        ):
            asked()
    _program(tmp_path / engine, "echo trying >&2; echo no such image >&2; exit 125")
    with pytest.raises(ImagesError, match=r"aperture-serve:1\.2\.3` says: no such image$"):
        size(engine, CPU.tag)


def test_docker_builds_with_the_builder_that_knows_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_BUILDKIT", "0")
    _program(tmp_path / "docker", "echo buildkit is $DOCKER_BUILDKIT")
    assert build_image("docker", CPU, {}) == "buildkit is 1\n"


@pytest.mark.parametrize("times", [1, 2])
def test_a_build_that_buildah_had_no_luck_with_is_tried_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """The kernel refuses at random to seal the copy of itself that buildah runs a step by."""
    program = tmp_path / "buildah"
    program.write_text(
        f"""#!/bin/sh
echo tried >>{tmp_path}/tries
[ $(wc -l <{tmp_path}/tries) -gt {times} ] && echo built && exit 0
echo 'Close_Fd sealing memfd copy: Device or resource busy'
exit 1
"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    if times == 1:
        assert build_image("buildah", CPU, {}) == "built\n"
    else:
        with pytest.raises(ImagesError, match="ended with status 1"):
            build_image("buildah", CPU, {})
    assert (tmp_path / "tries").read_text() == "tried\n" * 2


@pytest.mark.parametrize(
    ("extra", "hint"), [("cpu", ""), ("tensorrt", r"\. .*set PIP_EXTRA_INDEX_URL=.*")]
)
def test_a_build_that_fails_says_where_tensorrt_is_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: str, hint: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    _program(tmp_path / "buildah", "echo many lines of pip; exit 1")
    with pytest.raises(ImagesError, match=f"^`buildah bud` ended with status 1{hint}$"):
        build_image("buildah", Build("serve", extra, version="1.2.3"), {})


def _make_images(folder: Path, *variables: str) -> list[str]:
    """What `make images` tells a docker, the one engine there is."""
    make = shutil.which("make")
    assert make is not None
    _program(folder / "docker", 'case "$1" in image) echo 1000000;; build) echo "build $*";; esac')
    done = subprocess.run(
        [make, "images", f"PYTHON={sys.executable}", *variables],
        cwd=images.ROOT,
        env={"PATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    told = [line for line in done.stdout.splitlines() if line.startswith("build ")]
    assert len(told) == len(images.IMAGES)
    return told


def _program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def _git(folder: Path, *arguments: str) -> None:
    author = {
        f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    subprocess.run(["git", "-C", str(folder), *arguments], env={**os.environ, **author}, check=True)
