"""What names another object, a port, a label or a metric names one that is there."""

import re
from base64 import b64decode
from typing import Any

import pytest

from server.cli import parse_options
from server.metrics import inference_families
from tests.k8s.pods import Pod, pods_of, predictors_of
from tests.k8s.rendered import (
    K8S,
    Manifest,
    every_kustomization,
    kubectl,
    name_of,
    of_kind,
    rendered,
)

pytestmark = kubectl
# What overlays of serving take for granted: the volumes of a training's overlay.
SHARED_CLAIMS = {"aperture-data", "aperture-models", "aperture-runs"}
CONTROL_PORTS = {8012, 8013, 8022, 9090, 9091}  # Knative's queue-proxy


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector of matchLabels alone takes a pod."""
    assert selector.keys() <= {"matchLabels"}
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


def names(manifests: tuple[Manifest, ...], kind: str) -> set[str]:
    """The names of all objects of a kind."""
    return {manifest["metadata"]["name"] for manifest in of_kind(manifests, kind)}


@every_kustomization
def test_no_object_is_there_twice_or_names_a_namespace(kustomization: str) -> None:
    manifests = rendered(kustomization)
    assert len({name_of(manifest) for manifest in manifests}) == len(manifests)
    assert all("namespace" not in manifest["metadata"] for manifest in manifests)  # kubectl -n


def test_no_file_says_what_another_says() -> None:
    texts = [path.read_text(encoding="utf-8") for path in sorted(K8S.rglob("*.yaml"))]
    assert len(set(texts)) == len(texts)


@every_kustomization
def test_a_runtime_is_made_before_what_it_runs(kustomization: str) -> None:
    """Trainer's webhook refuses a TrainJob otherwise; kubectl applies in the order of the output."""
    kinds = [manifest["kind"] for manifest in rendered(kustomization)]
    for runtime, user in (("TrainingRuntime", "TrainJob"), ("ServingRuntime", "InferenceService")):
        if user in kinds and runtime in kinds:
            assert kinds.index(runtime) < kinds.index(user)


@every_kustomization
def test_service_accounts_secrets_and_claims_exist(kustomization: str) -> None:
    manifests = rendered(kustomization)
    for pod in pods_of(manifests):
        assert pod.spec["serviceAccountName"] in names(manifests, "ServiceAccount")
        claims = {
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod.spec["volumes"]
            if "persistentVolumeClaim" in volume
        }
        here = names(manifests, "PersistentVolumeClaim")
        assert claims <= here | (set() if here & SHARED_CLAIMS else SHARED_CLAIMS)
        sources = [one for container in pod.containers() for one in container.get("envFrom", ())]
        assert {one["secretRef"]["name"] for one in sources} <= names(manifests, "Secret")
    for account in of_kind(manifests, "ServiceAccount"):
        wanted = {secret["name"] for secret in account.get("secrets", ())}
        assert wanted <= names(manifests, "Secret")


@every_kustomization
def test_no_pod_has_two_volumes_of_one_claim(kustomization: str) -> None:
    """The kubelet of Kubernetes 1.34 and earlier mounts one of the two, and the pod never starts.

    Source: https://github.com/kserve/kserve/pull/6197, https://github.com/kubernetes/kubernetes/pull/122140
    """
    for pod in pods_of(rendered(kustomization)):
        claims = [
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod.spec["volumes"]
            if "persistentVolumeClaim" in volume
        ]
        assert len(set(claims)) == len(claims), pod.owner
        volumes = [volume["name"] for volume in pod.spec["volumes"]]
        assert len(set(volumes)) == len(volumes), pod.owner


@every_kustomization
def test_services_name_runtimes_that_take_their_format(kustomization: str) -> None:
    manifests = rendered(kustomization)
    runtimes = {
        one["metadata"]["name"]: one["spec"] for one in of_kind(manifests, "ServingRuntime")
    }
    for service in of_kind(manifests, "InferenceService"):
        model = service["spec"]["predictor"]["model"]
        runtime = runtimes[model["runtime"]]
        formats = {one["name"] for one in runtime["supportedModelFormats"]}
        assert model["modelFormat"]["name"] in formats
        assert model["protocolVersion"] in runtime["protocolVersions"]
        for canary in service["spec"].get("canary", ()):
            assert canary["predictor"]["model"]["modelFormat"]["name"] in formats


@every_kustomization
def test_budgets_take_the_pods_of_one_service(kustomization: str) -> None:
    manifests = rendered(kustomization)
    services = list(of_kind(manifests, "InferenceService"))
    budgets = list(of_kind(manifests, "PodDisruptionBudget"))
    assert len(budgets) == len(services)
    for service, budget in zip(services, budgets, strict=True):
        owner = name_of(service)
        taken = {
            pod.owner
            for pod in predictors_of(manifests)
            if selects(budget["spec"]["selector"], pod.labels)
        }
        assert taken == {owner}


@every_kustomization
def test_monitors_find_the_port_of_the_metrics(kustomization: str) -> None:
    manifests = rendered(kustomization)
    pods = predictors_of(manifests)
    monitors = list(of_kind(manifests, "PodMonitor"))
    assert bool(monitors) == (bool(pods) and kustomization != "overlays/one-node")
    for monitor in monitors:
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        assert endpoint["path"] == "/metrics"
        for pod in pods:
            assert selects(monitor["spec"]["selector"], pod.labels)
            ports = {port["name"] for port in pod.main["ports"]}
            assert endpoint["port"] in (ports if pod.mode == "Standard" else {"user-port"})
            assert set(monitor["spec"]["podTargetLabels"]) <= pod.labels.keys()


@every_kustomization
def test_each_pod_has_one_network_policy_that_opens_its_ports_alone(kustomization: str) -> None:
    manifests = rendered(kustomization)
    policies = list(of_kind(manifests, "NetworkPolicy"))
    for pod in pods_of(manifests):
        (policy,) = [one for one in policies if selects(one["spec"]["podSelector"], pod.labels)]
        assert set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
        served = {port["containerPort"] for port in pod.main.get("ports", ())}
        opened = {
            port["port"]
            for rule in policy["spec"].get("ingress", ())
            for port in rule.get("ports", ())
        }
        if pod.mode == "Knative":
            assert opened == served | CONTROL_PORTS
        else:
            assert opened == served


@every_kustomization
def test_a_predictor_reaches_its_bucket_and_nothing_else(kustomization: str) -> None:
    manifests = rendered(kustomization)
    buckets = any(
        not service["spec"]["predictor"]["model"].get("storageUri", "").startswith("pvc://")
        for service in of_kind(manifests, "InferenceService")
    )
    for policy in of_kind(manifests, "NetworkPolicy"):
        if policy["metadata"]["name"] == "aperture-serve":
            assert bool(policy["spec"].get("egress")) == buckets


def test_all_who_ask_for_names_ask_the_same() -> None:
    rules = [
        rule
        for overlay in ("s3", "s3-poll", "train-distributed")
        for policy in of_kind(rendered(f"overlays/{overlay}"), "NetworkPolicy")
        for rule in policy["spec"]["egress"]
        if 53 in {port["port"] for port in rule.get("ports", ())}
    ]
    assert len(rules) == 5  # of trainers and servers
    assert all(rule == rules[0] for rule in rules)


@every_kustomization
def test_a_storage_uri_names_a_claim_or_a_whole_prefix(kustomization: str) -> None:
    for service in of_kind(rendered(kustomization), "InferenceService"):
        predictors = [service["spec"]["predictor"]]
        predictors += [canary["predictor"] for canary in service["spec"].get("canary", ())]
        for predictor in predictors:
            if kustomization == "overlays/s3-poll":
                assert "storageUri" not in predictor["model"]
                continue
            scheme, _, rest = predictor["model"]["storageUri"].partition("://")
            if scheme == "pvc":
                assert rest.split("/")[0] in SHARED_CLAIMS
            else:  # kserve-storage copies every key that begins so: shapes/1 is shapes/10, too
                assert scheme == "s3"
                assert rest.endswith("/")


def test_the_trainer_and_the_storage_initializer_use_one_store() -> None:
    (secret,) = of_kind(rendered("overlays/s3"), "Secret")
    values = {name: b64decode(value).decode() for name, value in secret["data"].items()}
    annotations = secret["metadata"]["annotations"]
    scheme, _, host = values["AWS_ENDPOINT_URL"].partition("://")
    assert annotations["serving.kserve.io/s3-endpoint"] == host
    assert annotations["serving.kserve.io/s3-usehttps"] == str(int(scheme == "https"))
    assert annotations["serving.kserve.io/s3-region"] == values["AWS_DEFAULT_REGION"]


@every_kustomization
def test_the_ports_are_those_that_the_mode_takes(kustomization: str) -> None:
    for pod in predictors_of(rendered(kustomization)):
        ports = [(port["name"], port["containerPort"]) for port in pod.main["ports"]]
        if pod.mode == "Knative":
            assert ports == [("http1", 8080)]
        else:
            assert ports == [("http1", 8080), ("grpc-predict", 8081)]
        assert f"--http_port={ports[0][1]}" in pod.main["args"]
        assert "--grpc_port=8081" in pod.main["args"]


@every_kustomization
def test_annotations_are_todays(kustomization: str) -> None:
    for service in of_kind(rendered(kustomization), "InferenceService"):
        annotations = service["metadata"]["annotations"]
        predictor = service["spec"]["predictor"]
        if annotations["serving.kserve.io/deploymentMode"] == "Knative":
            assert "serving.kserve.io/autoscalerClass" not in annotations
            continue
        assert annotations["serving.kserve.io/deploymentMode"] == "Standard"
        scaler = annotations["serving.kserve.io/autoscalerClass"]
        assert scaler in {"none", "hpa", "keda"}
        assert ("autoScaling" in predictor) == ("maxReplicas" in predictor) == (scaler != "none")


@pytest.mark.parametrize("overlay", ["overlays/autoscale-keda"])
def test_the_queue_metric_is_one_that_the_server_has_under_the_monitors_label(overlay: str) -> None:
    manifests = rendered(overlay)
    (service,) = of_kind(manifests, "InferenceService")
    (monitor,) = of_kind(manifests, "PodMonitor")
    (metric,) = service["spec"]["predictor"]["autoScaling"]["metrics"]
    query = metric["external"]["metric"]["query"]
    match = re.fullmatch(r'sum\((\w+)\{(\w+)="([\w-]+)"\}\)', query)
    assert match is not None
    assert match[1] in {family.name for family in inference_families([])}
    labels = {re.sub(r"\W", "_", label) for label in monitor["spec"]["podTargetLabels"]}
    assert match[2] in labels
    assert match[3] == service["metadata"]["name"]
    # `type: Value` would be the sum of all pods from the KServe that hands it on (kserve#6185).
    assert metric["external"]["target"].keys() == {"value"}


def test_canaries_leave_the_stable_pods_most_of_the_requests() -> None:
    (service,) = of_kind(rendered("overlays/canary"), "InferenceService")
    canaries = service["spec"]["canary"]
    assert sum(canary["trafficPercent"] for canary in canaries) < 50
    scaling = {"maxReplicas", "scaleTarget", "scaleMetric", "autoScaling"}
    assert all(not scaling & canary["predictor"].keys() for canary in canaries)  # KServe refuses
    stable, *others = predictors_of(rendered("overlays/canary"))
    assert all(_served_name(pod) == _served_name(stable) for pod in others)
    uris = {one["model"]["storageUri"] for one in (service["spec"]["predictor"], *_of(canaries))}
    assert len(uris) == 1 + len(canaries)
    for pod in (stable, *others):  # one that polls would take the other version over
        assert parse_options(pod.main["args"], {}).model_control_mode == "none"


def test_a_canary_is_the_same_whether_the_stable_predictor_is_merged_below_it_or_not() -> None:
    (service,) = of_kind(rendered("overlays/canary"), "InferenceService")
    stable = service["spec"]["predictor"]
    for canary in _of(service["spec"]["canary"]):
        own = {"name", "minReplicas", "model"}
        assert {**stable, **canary} == canary
        assert {name for name in canary if canary[name] != stable.get(name)} == own
        assert {**stable["model"], **canary["model"]} == canary["model"]


def _of(canaries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [canary["predictor"] for canary in canaries]


def _served_name(pod: Pod) -> str:
    (name,) = [arg for arg in pod.main["args"] if arg.startswith("--model_name=")]
    return str(name)
