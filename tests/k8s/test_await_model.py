"""await-model, the predictor's init container: what it waits for, that it goes on, and that it ends."""

import os
import signal
import subprocess
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tests.k8s.document import users_own, yaml_block
from tests.k8s.namespaces import needs, unshare
from tests.k8s.pods import CLAIM_VOLUME, MODELS, Pod, predictors_of, trainers_of
from tests.k8s.rendered import Manifest, every_kustomization, kubectl, of_kind, rendered

pytestmark = kubectl
PROCESS_1 = unshare("--pid", "--fork", "--kill-child")
TERMINATED = 128 + signal.SIGTERM
OF_SAGEMAKERS = "pvc://aperture-runs/sagemaker/shapes/model/shapes"


def waiting_of(pod: Pod) -> dict[str, Any]:
    (container,) = pod.spec["initContainers"]
    assert container["name"] == "await-model"
    return dict(container)


def mounted(container: dict[str, Any], path: str) -> PurePosixPath:
    """Where a path of the container is on the model's volume."""
    (mount,) = [one for one in container["volumeMounts"] if one["name"] == CLAIM_VOLUME]
    return PurePosixPath(mount.get("subPath", "")) / PurePosixPath(path).relative_to(
        mount["mountPath"]
    )


def waits_for(pod: Pod) -> str:
    """What the pod waits for, as a storageUri; fails where it then serves something else."""
    (volume,) = [one for one in pod.spec["volumes"] if one["name"] == CLAIM_VOLUME]
    container = waiting_of(pod)
    (folder,) = container["args"]
    place = mounted(container, folder)
    assert place == mounted(pod.main, MODELS)
    return f"pvc://{volume['persistentVolumeClaim']['claimName']}/{place}"


def storage_uri(manifests: tuple[Manifest, ...]) -> str:
    (service,) = of_kind(manifests, "InferenceService")
    return str(service["spec"]["predictor"]["model"]["storageUri"])


@every_kustomization
def test_a_predictor_waits_for_the_model_that_it_serves(kustomization: str) -> None:
    for pod in predictors_of(rendered(kustomization)):
        if "initContainers" in pod.spec:
            assert waits_for(pod) == storage_uri(rendered(kustomization))


@pytest.mark.parametrize("resources", [None, "overlays/cpu", "overlays/gpu"])
def test_the_service_of_a_model_of_sagemakers_waits_for_that_one(
    tmp_path: Path, resources: str | None
) -> None:
    """As docs/deploy.md has it, and its patch over an overlay with a service of its own."""
    text = yaml_block(OF_SAGEMAKERS)
    if resources is not None:
        _, _, patches = text.partition("patches:")
        text = f"resources: [../k8s/{resources}]\npatches:{patches}"
    manifests = users_own(tmp_path, text)
    (pod,) = predictors_of(manifests)
    assert waits_for(pod) == storage_uri(manifests) == OF_SAGEMAKERS


def test_it_waits_where_the_job_of_sagemakers_publishes(tmp_path: Path) -> None:
    (pod,) = trainers_of(users_own(tmp_path, yaml_block(OF_SAGEMAKERS)))
    (mount,) = [one for one in pod.main["volumeMounts"] if one["mountPath"] == "/opt/ml/model"]
    (volume,) = [one for one in pod.spec["volumes"] if one["name"] == mount["name"]]
    (name,) = [arg.partition("=")[2] for arg in pod.main["args"] if arg.startswith("--name=")]
    claim = volume["persistentVolumeClaim"]["claimName"]
    assert f"pvc://{claim}/{mount['subPath']}/{name}" == OF_SAGEMAKERS


def command(folder: Path, in_place_of_sleep: str) -> list[str]:
    """The container's, with a folder of the test's."""
    (pod,) = predictors_of(rendered("base"))
    words = waiting_of(pod)["command"]
    assert "sleep 5" in words[2]
    return [*(word.replace("sleep 5", in_place_of_sleep) for word in words), str(folder)]


def test_it_says_what_it_waits_for_and_goes_on_when_that_is_there(tmp_path: Path) -> None:
    model = tmp_path / "a model"
    asked = command(model, "kill $$")
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == TERMINATED
    assert done.stdout == f"await-model waits for a version of the model in {model}\n"
    version = model / "1"
    version.mkdir(parents=True)
    (version / "model.onnx").touch()
    assert subprocess.run(asked, capture_output=True, check=False).returncode == 0


@needs(PROCESS_1)
def test_a_pod_that_waits_ends_at_once(tmp_path: Path) -> None:
    """As process 1, to which the kernel brings SIGTERM by a trap alone."""
    with subprocess.Popen(
        [*PROCESS_1, *command(tmp_path, "sleep 3600")], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("await-model waits")
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            os.kill(int(children.read_text(encoding="ascii")), signal.SIGTERM)
            assert process.wait(timeout=30) == TERMINATED
        finally:
            process.kill()
