"""The API servers of today take what k8s/ renders to."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest

from tests.k8s.crds import CRDS, validators
from tests.k8s.pods import pods_of
from tests.k8s.rendered import (
    KUSTOMIZATIONS,
    Manifest,
    every_kustomization,
    kubectl,
    name_of,
    of_kind,
    rendered,
)

pytestmark = kubectl
KUBERNETES = "1.34"
KSERVE = ("InferenceService", "ServingRuntime", "ClusterServingRuntime")
CUSTOM = (*KSERVE, "TrainJob", "TrainingRuntime")
OPERATORS = ("PodMonitor",)  # of the Prometheus operator, whose schema is not here

shared_crds = pytest.mark.skipif(
    not CRDS.is_dir(), reason=f"KServe's and Trainer's CRDs are not in {CRDS}"
)


@every_kustomization
def test_core_kinds_are_valid_and_have_no_unknown_field(kustomization: str) -> None:
    for manifest in rendered(kustomization):
        if manifest["kind"] not in (*CUSTOM, *OPERATORS):
            kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


@every_kustomization
def test_the_pods_that_come_of_them_are_valid(kustomization: str) -> None:
    for pod in pods_of(rendered(kustomization)):
        metadata = {"name": "pod", "labels": pod.labels}
        manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod.spec}
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


@shared_crds
@every_kustomization
def test_custom_kinds_match_their_crds_and_have_no_unknown_field(kustomization: str) -> None:
    for manifest in of_kind(rendered(kustomization), *CUSTOM):
        validator = validators()[manifest["apiVersion"], manifest["kind"]]
        errors = [
            f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(manifest)
        ]
        assert errors == [], name_of(manifest)


@shared_crds
@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("InferenceService", ("spec", "predictor", "minReplica"), 2),
        ("InferenceService", ("spec", "predictor", "model", "storageURI"), "s3://a"),
        ("InferenceService", ("spec", "predictor", "minReplicas"), "two"),
        ("ServingRuntime", ("spec", "terminationGracePeriodSeconds"), 45),
        ("ServingRuntime", ("spec", "containers"), None),
    ],
)
def test_the_crds_refuse_what_the_api_would_drop_or_refuse(
    kind: str, path: tuple[str, ...], value: object
) -> None:
    (manifest,) = of_kind(rendered("base"), kind)
    broken = copy.deepcopy(manifest)
    *parents, last = path
    holder = broken
    for parent in parents:
        holder = holder[parent]
    holder[last] = value
    assert list(validators()[broken["apiVersion"], kind].iter_errors(broken))


def test_kserves_own_classes_read_and_write_them_unchanged() -> None:
    manifests = [one for name in KUSTOMIZATIONS for one in of_kind(rendered(name), *KSERVE)]
    (service,) = of_kind(rendered("base"), "InferenceService")
    broken = copy.deepcopy(service)
    broken["spec"]["predictor"]["minReplica"] = 1  # a field that the classes do not know
    *read, lost = kserve_reads([*manifests, broken])
    assert read == manifests
    assert lost == service


def kserve_reads(manifests: list[Manifest]) -> list[Manifest]:
    """The manifests after KServe's SDK; in a process of its own, which tritonclient is not in."""
    script = Path(__file__).parents[1] / "clients" / "kserve_models.py"
    process = subprocess.run(
        [sys.executable, "-W", "ignore", str(script)],
        input=json.dumps(manifests),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    read: list[Manifest] = json.loads(process.stdout)
    return read
