"""The pods that the cluster makes of rendered manifests, as far as the manifests decide.

InferenceService + ServingRuntime -> KServe's pod; Job and TrainJob + TrainingRuntime -> the trainer's; a
Pod is itself.

Sources: KServe's components/predictor.go and utils (merge of the containers, {{.Name}}, labels), its
webhook's storage_initializer_injector.go and utils/storage.go (the model's volume), and Kubeflow
Trainer's plugins/torch (the PET_ variables).
"""

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from tests.k8s.rendered import Manifest, of_kind

MODELS: Final = "/mnt/models"
# What KServe calls the volume there: that of a claim, and that of a copy from a bucket.
CLAIM_VOLUME, COPY_VOLUME = "kserve-pvc-source", "kserve-provision-location"
TORCH_PORT: Final = 29500
_UNITS: Final = {"": Decimal(1), "m": Decimal("0.001"), "Mi": Decimal(2**20), "Gi": Decimal(2**30)}
# Fields of a predictor that are KServe's own; the rest is the pod's.
_EXTENSIONS: Final = frozenset(
    {
        "annotations",
        "autoScaling",
        "canaryTrafficPercent",
        "containerConcurrency",
        "deploymentStrategy",
        "labels",
        "maxReplicas",
        "minReplicas",
        "model",
        "name",
        "scaleMetric",
        "scaleTarget",
        "timeout",
    }
)


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod.

    Attributes:
        owner: Kind and name of what it is made of.
        mode: KServe's deployment mode; empty for what does not serve.
        labels: Its labels.
        spec: Its PodSpec.
    """

    owner: str
    mode: str
    labels: dict[str, str]
    spec: dict[str, Any]

    @property
    def main(self) -> dict[str, Any]:
        """The container that serves or trains."""
        return next(iter(self.spec["containers"]))

    def containers(self) -> Iterator[dict[str, Any]]:
        """All containers, those of the start too."""
        yield from self.spec.get("initContainers", ())
        yield from self.spec["containers"]


def amount(quantity: str) -> Decimal:
    """A Kubernetes quantity, such as 500m or 2Gi, as a number."""
    match = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(quantity))
    assert match is not None, quantity
    return Decimal(match[1]) * _UNITS[match[2]]


def requested(pod: Pod, resource: str) -> Decimal:
    """What the scheduler sets aside for a pod: the containers' sum, or more for one of the start."""
    asked = [
        amount(one["resources"]["requests"].get(resource, "0")) for one in pod.spec["containers"]
    ]
    start = [
        amount(one["resources"]["requests"].get(resource, "0"))
        for one in pod.spec.get("initContainers", ())
    ]
    return max(sum(asked, Decimal(0)), *start, Decimal(0))


def pods_of(manifests: tuple[Manifest, ...]) -> list[Pod]:
    """Every kind of pod that the manifests lead to."""
    alone = [
        Pod(_owner(pod), "", pod["metadata"]["labels"], pod["spec"])
        for pod in of_kind(manifests, "Pod")
    ]
    return [*predictors_of(manifests), *trainers_of(manifests), *alone]


def predictors_of(manifests: tuple[Manifest, ...]) -> list[Pod]:
    """The pods of each InferenceService, and of its canaries."""
    runtimes = {
        runtime["metadata"]["name"]: runtime["spec"]
        for runtime in of_kind(manifests, "ServingRuntime", "ClusterServingRuntime")
    }
    pods = []
    for service in of_kind(manifests, "InferenceService"):
        stable = service["spec"]["predictor"]
        # KServe merges the stable predictor below a canary's; these must not depend on it.
        canaries = [canary["predictor"] for canary in service["spec"].get("canary", ())]
        for predictor in (stable, *canaries):
            runtime = runtimes[predictor["model"]["runtime"]]
            pods.append(_predictor(service, predictor, runtime))
    return pods


def trainers_of(manifests: tuple[Manifest, ...]) -> list[Pod]:
    """The pods of each Job, and of each node of a TrainJob."""
    pods = []
    for job in of_kind(manifests, "Job"):
        template = job["spec"]["template"]
        pods.append(Pod(_owner(job), "", template["metadata"]["labels"], template["spec"]))
    runtimes = {
        runtime["metadata"]["name"]: runtime for runtime in of_kind(manifests, "TrainingRuntime")
    }
    for job in of_kind(manifests, "TrainJob"):
        pods.append(_node(job, runtimes[job["spec"]["runtimeRef"]["name"]]))
    return pods


def torch_variables(job: Manifest, rank: int, master: str) -> dict[str, str]:
    """What Trainer's torch plug-in sets on a node of a TrainJob."""
    trainer = job["spec"]["trainer"]
    return {
        "PET_NNODES": str(trainer["numNodes"]),
        "PET_NPROC_PER_NODE": str(trainer["numProcPerNode"]),
        "PET_NODE_RANK": str(rank),
        "PET_MASTER_ADDR": master,
        "PET_MASTER_PORT": str(TORCH_PORT),
    }


def _predictor(service: Manifest, predictor: Manifest, runtime: Manifest) -> Pod:
    name = service["metadata"]["name"]
    (container,) = deepcopy(runtime["containers"])
    model = predictor["model"]
    container["args"] = [
        arg.replace("{{.Name}}", name) for arg in (*container["args"], *model.get("args", ()))
    ]
    container["resources"] = _merged(container["resources"], model.get("resources", {}))
    container["env"] = [*container.get("env", ()), *model.get("env", ())]
    spec = {key: value for key, value in predictor.items() if key not in _EXTENSIONS}
    volumes = [*runtime["volumes"], *predictor.get("volumes", ())]
    spec |= {"containers": [container], "volumes": volumes}
    if uri := model.get("storageUri"):
        _add_model(spec, uri)
    labels = {
        **service["metadata"].get("labels", {}),
        **runtime.get("labels", {}),
        **predictor.get("labels", {}),
        "serving.kserve.io/inferenceservice": name,
        "component": "predictor",
    }
    mode = service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"]
    return Pod(_owner(service), mode, labels, spec)


def _add_model(spec: Manifest, uri: str) -> None:
    """Mount the model as KServe's webhook does: a mount or volume of its name that is there stays."""
    (container,) = spec["containers"]
    scheme, _, rest = uri.partition("://")
    claim, _, folder = rest.partition("/")
    mount: dict[str, Any] = {"name": COPY_VOLUME, "mountPath": MODELS, "readOnly": True}
    volume: dict[str, Any] = {"name": COPY_VOLUME, "emptyDir": {}}
    if scheme == "pvc":
        mount |= {"name": CLAIM_VOLUME, "subPath": folder}
        volume = {"name": CLAIM_VOLUME, "persistentVolumeClaim": {"claimName": claim}}
    if mount["name"] in {one["name"] for one in container["volumeMounts"]}:
        return
    container["volumeMounts"] = [*container["volumeMounts"], mount]
    if volume["name"] not in {one["name"] for one in spec["volumes"]}:
        spec["volumes"] = [*spec["volumes"], volume]


def _node(job: Manifest, runtime: Manifest) -> Pod:
    (replicated,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    template = deepcopy(replicated["template"]["spec"]["template"])
    (container,) = template["spec"]["containers"]
    trainer = job["spec"]["trainer"]
    container["args"] = trainer["args"]
    container["resources"] = trainer["resourcesPerNode"]
    labels = {
        **template["metadata"]["labels"],
        "jobset.sigs.k8s.io/jobset-name": job["metadata"]["name"],
    }
    return Pod(_owner(job), "", labels, template["spec"])


def _merged(below: Manifest, above: Manifest) -> Manifest:
    """Objects are merged, anything else is replaced."""
    merged = deepcopy(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else deepcopy(value)
    return merged


def _owner(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"
