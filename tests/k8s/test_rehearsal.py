"""The pods of k8s/ rehearsed: initialised, started, probed, asked, given a new version, drained.

Arguments, environment, mounts, ports and probes are those of the rendered manifests. The claim is a
folder; the bucket is one of a real S3 server, copied by KServe's storage initializer or by the server.
"""

import json
import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.locations import Bucket
from tests.k8s.namespaces import needs, unshare
from tests.k8s.pods import Pod, predictors_of, trainers_of
from tests.k8s.rendered import kubectl, of_kind, rendered
from tests.picture_files import noise
from tests.storage.local_s3 import MOTO, initialise_storage, make_bucket
from tests.tiny_models import LABELS, colour_scores, publish_colour

NAMESPACES = unshare("--mount", "--net")

pytestmark = [
    kubectl,
    needs(NAMESPACES),
    pytest.mark.skipif(
        Path(__file__).resolve().is_relative_to("/tmp"),  # noqa: S108  # the pod's
        reason="the project lies in /tmp, where a pod has a folder of its own",
    ),
]


def scores(scale: float) -> Any:
    """What the model of that scale answers to the picture of the rehearsal."""
    expected = dict(zip(LABELS, colour_scores(noise(1)[np.newaxis], scale)[0], strict=True))
    return pytest.approx(expected, abs=0.01)  # in bf16 where the machine has it


def storage_uri(kustomization: str) -> str:
    (service,) = of_kind(rendered(kustomization), "InferenceService")
    uri: str = service["spec"]["predictor"]["model"]["storageUri"]
    return uri


def rehearse(pod: Pod, described: dict[str, Any]) -> dict[str, Any]:
    described |= {"spec": deepcopy(pod.spec)}
    done = subprocess.run(
        [*NAMESPACES, sys.executable, "-m", "tests.k8s.kubelet"],
        input=json.dumps(described),
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    happened: dict[str, Any] = json.loads(done.stdout)
    return happened


def check_life(happened: dict[str, Any], pod: Pod) -> None:
    """What must be so of every pod."""
    probes = [(name, succeeded) for _, name, succeeded in happened["probes"]]
    assert all(succeeded for name, succeeded in probes if name == "livenessProbe")
    assert ("readinessProbe", True) in probes
    assert probes[-1] == ("readinessProbe", False), "it leaves the Service before it ends"
    assert happened["late"] == happened["answers"][-1], "what came late was answered"
    assert happened["status"] == 0
    if os.geteuid() == 0:
        assert happened["user"] == pod.spec["securityContext"]["runAsUser"]
    assert happened["ended_s"] < pod.spec["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("kustomization", ["overlays/cpu", "overlays/multi-model"])
def test_a_pod_on_a_volume_serves_follows_it_and_drains(tmp_path: Path, kustomization: str) -> None:
    pod = predictors_of(rendered(kustomization))[0]
    claim, _, place = storage_uri(kustomization).removeprefix("pvc://").partition("/")
    assert claim == "aperture-models"
    model = place or "shapes"
    publish_colour(tmp_path, 16, model)
    folders = {"models": str(tmp_path / place), "volume": str(tmp_path)}
    happened = rehearse(pod, {"model": model, "folders": folders, "publish": 64})
    check_life(happened, pod)
    assert happened["answers"] == [scores(16), scores(64)]


@pytest.mark.usefixtures("s3")
def test_the_pod_of_a_version_in_a_bucket_serves_that_and_drains(tmp_path: Path) -> None:
    (training,) = trainers_of(rendered("overlays/s3"))
    flags = dict(arg[2:].split("=") for arg in training.main["args"] if "=" in arg)
    bucket, model = Bucket(flags["model_repository"]), flags["name"]
    make_bucket(bucket)
    for scale in (16, *range(2, 11)):  # the tenth has a key that begins as the first one's
        publish_colour(bucket, scale, model)
    uri = storage_uri("overlays/s3")
    assert uri == f"{bucket}/{model}/1/"
    initialise_storage(uri, tmp_path / "models")
    folders = {"models": str(tmp_path / "models"), "volume": str(tmp_path)}
    (pod,) = predictors_of(rendered("overlays/s3"))
    happened = rehearse(pod, {"model": model, "folders": folders})
    check_life(happened, pod)
    assert happened["answers"] == [scores(16)]


@pytest.mark.skipif(not MOTO.exists(), reason="no S3 server; `make storage` installs it")
def test_a_pod_on_a_bucket_serves_follows_it_and_drains(tmp_path: Path) -> None:
    manifests = rendered("overlays/s3-poll")
    (pod,) = predictors_of(manifests)
    (secret,) = of_kind(manifests, "Secret")
    (source,) = pod.main["envFrom"]
    assert source["secretRef"]["name"] == secret["metadata"]["name"]
    (training,) = trainers_of(manifests)
    flags = dict(arg[2:].split("=") for arg in training.main["args"] if "=" in arg)
    bucket = {
        "url": flags["model_repository"],  # the server's is in its arguments
        "variables": sorted(secret["data"]),
        "scale": 16,
    }
    folders = {"volume": str(tmp_path)}
    described = {"model": flags["name"], "folders": folders, "bucket": bucket, "publish": 64}
    happened = rehearse(pod, described)
    check_life(happened, pod)
    assert happened["answers"] == [scores(16), scores(64)]
