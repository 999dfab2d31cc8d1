"""Every pod keeps to the `restricted` profile and to what a predictor owes its cluster.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from torch.distributed.run import get_args_parser

from server.cli import parse_options
from tests.k8s.pods import COPY_VOLUME, Pod, amount, pods_of, predictors_of, trainers_of
from tests.k8s.rendered import K8S, every_kustomization, kubectl, kustomize, rendered
from trainer.sagemaker.hosts import SAVING_S

pytestmark = kubectl
SAGEMAKERS_GRACE_S = 120
KUBERNETES_GRACE_S = 30
VOLUMES = {"persistentVolumeClaim", "emptyDir", "secret", "configMap", "projected"}


def security(pod: Pod, container: dict[str, Any]) -> dict[str, Any]:
    """A container's security context: its own over the pod's."""
    return {**pod.spec.get("securityContext", {}), **container["securityContext"]}


@every_kustomization
def test_pods_satisfy_the_restricted_profile(kustomization: str) -> None:
    for pod in pods_of(rendered(kustomization)):
        spec = pod.spec
        assert not any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC"))
        assert all(VOLUMES & volume.keys() for volume in spec["volumes"]), pod.owner
        for container in pod.containers():
            context = security(pod, container)
            assert context["runAsNonRoot"] is True
            assert int(context["runAsUser"]) > 0  # numeric: a name cannot be proven not to be root
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert not container["securityContext"].get("privileged")
            assert all("hostPort" not in port for port in container.get("ports", ()))


@every_kustomization
def test_pods_write_to_mounts_alone_and_have_no_token(kustomization: str) -> None:
    for pod in pods_of(rendered(kustomization)):
        assert pod.spec["automountServiceAccountToken"] is False
        assert pod.spec["enableServiceLinks"] is False  # variables APERTURE_... of Services
        volumes = {volume["name"]: volume for volume in pod.spec["volumes"]}
        for container in pod.containers():
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert "emptyDir" in volumes[mounts["/tmp"]]  # noqa: S108  # a mount of the container
            assert set(mounts.values()) <= volumes.keys()
        for volume in volumes.values():
            if volume["name"] != COPY_VOLUME:  # KServe's own, which it does not limit
                assert "sizeLimit" in volume.get("emptyDir", {"sizeLimit": ""})


@every_kustomization
def test_containers_request_what_they_need_and_are_limited(kustomization: str) -> None:
    for pod in pods_of(rendered(kustomization)):
        for container in pod.containers():
            requests = container["resources"]["requests"]
            limits = container["resources"]["limits"]
            assert {"cpu", "memory"} <= requests.keys() == limits.keys(), pod.owner
            assert all(amount(requests[name]) <= amount(limits[name]) for name in requests)
            assert amount(limits["cpu"]) % 1 == 0  # whole threads
            assert requests.get("nvidia.com/gpu") == limits.get("nvidia.com/gpu")
        tolerated = {one["key"] for one in pod.spec.get("tolerations", ())}
        assert ("nvidia.com/gpu" in tolerated) == _has_gpu(pod)
        shared = sum(
            amount(volume["emptyDir"]["sizeLimit"])
            for volume in pod.spec["volumes"]
            if volume.get("emptyDir", {}).get("medium") == "Memory"
        )
        assert shared < amount(pod.main["resources"]["limits"]["memory"])


@every_kustomization
def test_images_are_of_this_version(kustomization: str) -> None:
    version = re.escape(_version())
    for pod in pods_of(rendered(kustomization)):
        for container in pod.containers():
            side = "serve" if pod.mode else "train"
            pattern = rf"aperture-{side}:{version}(-gpu|-tensorrt)?"
            assert re.fullmatch(pattern, container["image"])
            assert _has_gpu(pod) == container["image"].endswith(("-gpu", "-tensorrt"))


@pytest.mark.parametrize("overlay", ["cpu", "canary", "one-node", "train-distributed"])
def test_a_users_registry_reaches_every_image(tmp_path: Path, overlay: str) -> None:
    images = [
        {"name": f"aperture-{side}", "newName": f"registry.test/aperture-{side}", "newTag": "7"}
        for side in ("serve", "train")
    ]
    folder = tmp_path / "mine"
    folder.mkdir()
    (tmp_path / "k8s").symlink_to(K8S)
    resources = [f"../k8s/overlays/{overlay}"]
    (folder / "kustomization.yaml").write_text(
        yaml.safe_dump({"resources": resources, "images": images})
    )
    pods = pods_of(tuple(kustomize(folder)))
    found = {container["image"] for pod in pods for container in pod.containers()}
    assert found
    assert found <= {"registry.test/aperture-serve:7", "registry.test/aperture-train:7"}


@every_kustomization
def test_predictors_are_probed_over_http(kustomization: str) -> None:
    for pod in predictors_of(rendered(kustomization)):
        options = parse_options(pod.main["args"], {})
        paths = {
            "startupProbe": "/v2/health/live",
            "readinessProbe": "/v2/health/ready",
            "livenessProbe": "/v2/health/live",
        }
        for name, path in paths.items():
            probe = pod.main[name]
            assert probe["httpGet"] == {"path": path, "port": options.http_port}
            assert probe["timeoutSeconds"] > 1  # a busy node is no reason to end a pod


@every_kustomization
def test_a_predictor_has_time_to_drain(kustomization: str) -> None:
    for pod in predictors_of(rendered(kustomization)):
        options = parse_options(pod.main["args"], {})
        drain_s = options.shutdown_delay + options.grace_period
        assert "lifecycle" not in pod.main  # no preStop: the server waits by itself
        if pod.mode == "Standard":
            assert pod.spec["terminationGracePeriodSeconds"] > drain_s
        # What an InferenceService of one's own has, where it says nothing; the last spans take 3 s more.
        assert drain_s + 3 < KUBERNETES_GRACE_S
        period = pod.main["readinessProbe"]["periodSeconds"]
        assert options.shutdown_delay >= period  # seen as not ready before it closes


@every_kustomization
def test_a_training_has_time_for_its_last_checkpoint(kustomization: str) -> None:
    for pod in trainers_of(rendered(kustomization)):
        assert pod.spec["terminationGracePeriodSeconds"] == SAGEMAKERS_GRACE_S
        program, *flags = pod.main["command"]
        if program == "torchrun":  # it kills its processes after 30 s by itself
            wanted = get_args_parser().parse_args([*flags, *pod.main["args"]])
            assert wanted.shutdown_timeout == SAVING_S < SAGEMAKERS_GRACE_S


@every_kustomization
def test_a_predictor_spreads_over_nodes_where_the_mode_allows(kustomization: str) -> None:
    for pod in predictors_of(rendered(kustomization)):
        constraints = pod.spec.get("topologySpreadConstraints", [])
        assert bool(constraints) == (pod.mode == "Standard")
        for constraint in constraints:
            assert constraint["labelSelector"]["matchLabels"].items() <= pod.labels.items()


def _has_gpu(pod: Pod) -> bool:
    return "nvidia.com/gpu" in pod.main["resources"]["limits"]


def _version() -> str:
    text = (K8S.parent / "pyproject.toml").read_text(encoding="utf-8")
    match = re.search(r'^version = "(.*)"$', text, re.MULTILINE)
    assert match is not None
    return match[1]
