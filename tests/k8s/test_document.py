"""docs/deploy.md names what is there, and shows what kubectl would print."""

import base64
import json
import re
from pathlib import Path

import pytest
from google.protobuf import json_format

from server.protocol import oip_pb2
from tests.k8s.document import TEXT, next_version, users_own, yaml_block
from tests.k8s.pods import pods_of, predictors_of, requested, trainers_of
from tests.k8s.rendered import K8S, Manifest, kubectl, of_kind, rendered
from tests.picture_files import instances, noise_png

OVERLAYS = sorted(folder.name for folder in (K8S / "overlays").iterdir())
WITH_TRAINING = ["one-node", "cpu", "gpu", "s3", "s3-poll", "sagemaker", "train-distributed"]


def row_of(overlay: str) -> str:
    """An overlay's row of the table."""
    (row,) = re.findall(rf"^\| `{overlay}` \|.*\|$", TEXT, re.MULTILINE)
    return str(row)


def test_every_overlay_is_in_the_table_and_nothing_else() -> None:
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", TEXT, re.MULTILINE)
    assert sorted(rows) == OVERLAYS


def test_every_folder_that_is_named_is_there() -> None:
    named = set(re.findall(r"(?:k8s/)?((?:base|overlays|components)/[a-z-]+[a-z])", TEXT))
    assert named
    assert all((K8S / path).is_dir() for path in named if not path.endswith("autoscale"))


@kubectl
def test_the_first_apply_creates_what_the_document_says() -> None:
    said = re.findall(r"^([a-z.0-9]+/[a-z-]+) created$", TEXT, re.MULTILINE)
    assert said == ["namespace/vision", *map(_printed, rendered("overlays/one-node"))]


@kubectl
@pytest.mark.parametrize("overlay", WITH_TRAINING)
def test_the_table_says_what_training_and_service_request_together(overlay: str) -> None:
    manifests = rendered(f"overlays/{overlay}")
    services = [
        one["spec"]["predictor"]["minReplicas"] for one in of_kind(manifests, "InferenceService")
    ]
    trainings = [
        one["spec"].get("trainer", {}).get("numNodes", 1)
        for one in of_kind(manifests, "Job", "TrainJob")
    ]
    pods = [*predictors_of(manifests), *trainers_of(manifests)]
    cpus, memory, gpus = (
        sum(
            replicas * requested(pod, resource)
            for pod, replicas in zip(pods, [*services, *trainings], strict=True)
        )
        for resource in ("cpu", "memory", "nvidia.com/gpu")
    )
    assert cpus % 1 == 0 == memory % 2**30
    said = f"; {int(cpus)} CPU{'s' * (cpus > 1)}, {int(memory / 2**30)} GiB"
    said += f", {gpus} GPUs |" if gpus else " |"
    assert row_of(overlay).endswith(said), said


@kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_table_says_which_volumes_several_nodes_must_share(overlay: str) -> None:
    claims = of_kind(rendered(f"overlays/{overlay}"), "PersistentVolumeClaim")
    shared = any("ReadWriteMany" in claim["spec"]["accessModes"] for claim in claims)
    _, _, needs = row_of(overlay).rpartition(" | ")
    assert ("ReadWriteMany" in needs) == shared


@kubectl
@pytest.mark.parametrize("overlay", ["s3", "s3-poll"])
def test_one_pod_mounts_a_claim_that_one_node_mounts(overlay: str) -> None:
    manifests = rendered(f"overlays/{overlay}")
    mounting = [
        (volume["persistentVolumeClaim"]["claimName"], pod.owner)
        for pod in pods_of(manifests)
        for volume in pod.spec["volumes"]
        if "persistentVolumeClaim" in volume
    ]
    assert mounting == [("aperture-runs", "Job/aperture-train")]


@kubectl
def test_the_table_says_what_the_service_of_a_repository_requests() -> None:
    (service,) = of_kind(manifests := rendered("overlays/multi-model"), "InferenceService")
    (predictor,) = predictors_of(manifests)
    replicas = service["spec"]["predictor"]["minReplicas"]
    cpus, memory = (replicas * requested(predictor, resource) for resource in ("cpu", "memory"))
    said = f"beside its service {int(cpus)} CPUs, {int(memory / 2**30)} GiB |"
    assert row_of("multi-model").endswith(said)


@kubectl
def test_tensorrt_rolls_out_on_the_gpus_that_gpu_needs() -> None:
    (service,) = of_kind(manifests := rendered("overlays/tensorrt"), "InferenceService")
    (predictor,) = predictors_of(manifests)
    one_more = service["spec"]["predictor"]["minReplicas"] + 1  # maxSurge
    said = f", {one_more * requested(predictor, 'nvidia.com/gpu')} GPUs |"
    assert row_of("gpu").endswith(said)


@kubectl
def test_an_overlay_without_volumes_of_its_own_says_what_comes_before() -> None:
    for overlay in OVERLAYS:
        manifests = rendered(f"overlays/{overlay}")
        alone = {pod.mode for pod in predictors_of(manifests)} and not trainers_of(manifests)
        assert bool(alone) == ("; after `" in row_of(overlay)), overlay


@kubectl
def test_the_ports_are_those_of_the_runtime() -> None:
    (runtime,) = (one for one in rendered("base") if one["kind"] == "ServingRuntime")
    (container,) = runtime["spec"]["containers"]
    first, second = (port["containerPort"] for port in container["ports"])
    assert f"service/shapes-predictor {first}:80 {second}:{second}" in TEXT


def test_the_questions_and_the_grpc_answer_are_messages_of_the_protocol() -> None:
    image = base64.b64encode(noise_png(1)).decode()
    v1, v2 = (
        re.sub(r"\\(.)", r"\1", body).replace("$IMAGE", image)
        for body in re.findall(r'-d "(\{.*?\})"(?: \\)?$', TEXT, re.MULTILINE | re.DOTALL)
    )
    assert json.loads(v1) == instances(noise_png(1))
    asked = json_format.Parse(v2, oip_pb2.ModelInferRequest())
    assert asked.inputs[0].contents.bytes_contents == [noise_png(1)]
    (answer,) = re.findall(r"^\{\n.*?^\}$", TEXT, re.MULTILINE | re.DOTALL)
    answered = json_format.Parse(answer, oip_pb2.ModelInferResponse())
    (raw,) = answered.raw_output_contents
    assert int.from_bytes(raw[:4], "little") == len(raw[4:])
    assert f"tail -c +5\n{raw[4:].decode()}\n" in TEXT


@kubectl
@pytest.mark.parametrize("overlay", ["cpu", "gpu", "tensorrt"])
def test_a_registry_of_the_users_changes_no_tag(tmp_path: Path, overlay: str) -> None:
    text = yaml_block("newName").replace("overlays/gpu", f"overlays/{overlay}")
    ours = _images(rendered(f"overlays/{overlay}"))
    theirs = _images(users_own(tmp_path, text))
    assert theirs == {f"registry.example.com/{image}" for image in ours}


@kubectl
@pytest.mark.parametrize("overlay", ["cpu", "gpu", "s3"])
def test_the_patch_of_the_next_version_gives_it_a_folder_of_its_own(
    tmp_path: Path, overlay: str
) -> None:
    (training,) = trainers_of(next_version(tmp_path, f"overlays/{overlay}", "--output_dir"))
    (former,) = trainers_of(rendered(f"overlays/{overlay}"))
    assert set(former.main["args"]) - set(training.main["args"]) == {"--output_dir=/runs/shapes/1"}
    assert set(training.main["args"]) - set(former.main["args"]) == {"--output_dir=/runs/shapes/2"}


@kubectl
def test_the_patch_that_takes_a_canary_leaves_its_version_alone(tmp_path: Path) -> None:
    (taken,) = of_kind(users_own(tmp_path, yaml_block("/spec/canary}")), "InferenceService")
    (before,) = of_kind(rendered("overlays/canary"), "InferenceService")
    (canary,) = before["spec"]["canary"]
    assert (
        taken["spec"]["predictor"]["model"]["storageUri"]
        == canary["predictor"]["model"]["storageUri"]
    )
    assert "canary" not in taken["spec"]


def _images(manifests: tuple[Manifest, ...]) -> set[str]:
    return {one["image"] for pod in pods_of(manifests) for one in pod.containers()}


def _printed(manifest: Manifest) -> str:
    """How kubectl names an object: its kind and group, and its name."""
    group = manifest["apiVersion"].rpartition("/")[0]
    kind = ".".join(part for part in (manifest["kind"].lower(), group) if part)
    return f"{kind}/{manifest['metadata']['name']}"
