"""The programs in the images take every flag of the manifests, and find every path."""

from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest

from contract.errors import OptionsError
from contract.locations import Bucket
from server.cli import parse_options
from server.settings import ServerOptions
from tests.k8s.pods import CLAIM_VOLUME, MODELS, pods_of, predictors_of, trainers_of
from tests.k8s.rendered import KUBECTL, every_kustomization, kubectl, rendered
from trainer.cli import run

pytestmark = kubectl
BAD_OPTIONS = 2
NO_DATASET = 1


def paths_of(args: list[str]) -> list[str]:
    """The absolute paths among arguments, and those in the words of a shell's."""
    words = [word for arg in args for word in arg.split()]
    values = [word.partition("=")[2] if word.startswith("--") else word for word in words]
    return [value for value in values if value.startswith("/")]


@every_kustomization
def test_the_server_takes_its_flags(kustomization: str) -> None:
    for pod in predictors_of(rendered(kustomization)):
        assert pod.main["command"] == ["aperture-serve"]
        options = parse_options(pod.main["args"], {})
        assert "{{" not in " ".join(pod.main["args"])
        if isinstance(options.model_repository, Bucket):
            assert options.model_control_mode == "poll"
            assert published_to(kustomization) == {options.model_repository}
            continue
        assert MODELS in (str(options.model_dir), str(options.model_repository))
        if options.model_control_mode == "poll":  # a bucket is copied once
            assert any(
                volume["name"] == CLAIM_VOLUME and "persistentVolumeClaim" in volume
                for volume in pod.spec["volumes"]
            )


def published_to(kustomization: str) -> set[Bucket]:
    """The buckets that the trainings publish into."""
    flags = (
        arg.partition("=")
        for pod in trainers_of(rendered(kustomization))
        for arg in pod.main["args"]
    )
    return {Bucket(url) for flag, _, url in flags if flag == "--model_repository"}


def test_a_flag_that_the_server_does_not_have_is_refused() -> None:
    with pytest.raises(OptionsError, match="model_control_mode"):
        parse_options([f"--model_dir={MODELS}", "--model_control_mod=poll"], {})


@every_kustomization
def test_every_path_is_below_a_mount_that_can_be_written_where_it_must(kustomization: str) -> None:
    for pod in pods_of(rendered(kustomization)):
        for container in pod.containers():
            mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
            for path in paths_of(container["args"]):
                mount = next((m for m in mounts if path == m or path.startswith(f"{m}/")), None)
                assert mount is not None, f"{pod.owner}: {path} is below none of {[*mounts]}"
            for arg in container["args"]:
                flag, _, path = arg.partition("=")
                written = {"--output_dir", "--engine_cache_dir", "--bucket_cache_dir"}
                if pod in trainers_of(rendered(kustomization)):
                    written.add("--model_repository")
                if flag in written and path.startswith("/"):
                    (mount,) = [m for m in mounts if path == m or path.startswith(f"{m}/")]
                    assert not mounts[mount].get("readOnly"), f"{pod.owner}: {arg}"


@every_kustomization
def test_the_images_have_the_commands(kustomization: str) -> None:
    scripts = {entry.name for entry in entry_points(group="console_scripts")}
    for pod in pods_of(rendered(kustomization)):
        for container in pod.containers():
            program, *rest = container["command"]
            assert program in {"sh", *scripts}
            if program == "torchrun":
                *_, flag, module = rest
                assert flag == "-m"
                assert find_spec(module) is not None


def trainings() -> dict[str, list[str]]:
    """Each different command line of aperture-train, by the container that has it."""
    if KUBECTL is None:
        return {}
    found: dict[str, list[str]] = {}
    for name in (
        "base",
        "overlays/gpu",
        "overlays/s3",
        "overlays/one-node",
        "overlays/train-distributed",
    ):
        for pod in trainers_of(rendered(name)):
            for container in pod.containers():
                if container["args"] not in found.values():
                    found[f"{name}-{container['name']}"] = container["args"]
    return found


def moved(args: list[str], folder: Path) -> list[str]:
    """The arguments with their paths below a folder of the test."""
    return [
        arg.replace("=/", f"={folder}/", 1).replace("--data=s3://aperture/", f"--data={folder}/", 1)
        if arg.startswith("--")
        else arg.replace("/", f"{folder}/", 1)
        for arg in args
    ]


@pytest.mark.parametrize("args", trainings().values(), ids=trainings().keys())
def test_the_trainer_takes_its_flags(
    args: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(moved(args, tmp_path), {})
    if args[0] == "sample-data":
        assert status == 0
        assert (tmp_path / "data" / "shapes" / "train").is_dir()
    else:  # all that is wrong is that there is no dataset
        assert status == NO_DATASET
        assert f"{tmp_path}/data/shapes" in capsys.readouterr().err


def test_the_trainer_refuses_a_flag_that_it_does_not_have(tmp_path: Path) -> None:
    args = [*trainings()["base-train"], "--number_of_epochs=3"]
    assert run(moved(args, tmp_path), {}) == BAD_OPTIONS


@every_kustomization
def test_no_variable_of_a_pod_is_an_unknown_option(kustomization: str) -> None:
    known = {f"APERTURE_{name.upper()}" for name in ServerOptions.model_fields}
    for pod in predictors_of(rendered(kustomization)):
        ours = {one["name"] for one in pod.main["env"] if one["name"].startswith("APERTURE_")}
        assert ours <= known, pod.owner
