"""What V2 answers from, and what it says over REST and gRPC alike."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version as installed_version
from typing import Any, Final, Protocol, TypeAlias

import grpc
from starlette.routing import Route

from contract.model_config import PLATFORM, Json, TensorSpec
from server.log_settings import LogSettings
from server.model import ServedModel
from server.protocol.body import Bodies
from server.repository import Repository
from server.shared_memory import SharedMemory
from server.trace_settings import TraceSettings

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

_EXTENSIONS: Final = (
    "classification",
    "model_repository",
    "model_repository(unload_dependents)",
    "schedule_policy",
    "model_configuration",
    "binary_tensor_data",
    "parameters",
    "statistics",
    "trace",
    "logging",
)


@dataclass(frozen=True, slots=True)
class V2:
    """What the V2 surfaces answer from.

    Attributes:
        repository: The models.
        shared_memory: The regions that clients registered.
        logs: The settings of the server's log.
        traces: The settings of its traces.
        server_name: The name in its metadata.
        bodies: Reads the bodies of REST requests.
        stopping: Set when the server ends; streams end with it.
    """

    repository: Repository
    shared_memory: SharedMemory
    logs: LogSettings
    traces: TraceSettings
    server_name: str
    bodies: Bodies
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


class Surface(Protocol):
    """A part of V2, over both wires."""

    def routes(self) -> Sequence[Route]:
        """Its REST routes, those first that a later pattern would take too."""
        ...

    def rpcs(self) -> Mapping[str, Handler]:
        """Its methods of `inference.GRPCInferenceService`, by name."""
        ...


def server_metadata(v2: V2) -> dict[str, Json]:
    """The server's name, version and extensions."""
    shared_memory = ["system_shared_memory"] if v2.shared_memory.allowed else []
    return {
        "name": v2.server_name,
        "version": installed_version("aperture-vision"),
        "extensions": [*_EXTENSIONS, *shared_memory],
    }


def model_metadata(model: ServedModel, number: str) -> dict[str, Json]:
    """A model's name, versions or the one asked for, platform, inputs and outputs.

    Raises:
        ModelNotFound: It has no such version.
        NotReady: It has no version that can answer.
    """
    version = model.version(number)
    config = version.config
    known = [version.number] if number else sorted(model.versions)
    batched = config.max_batch_size > 0
    return {
        "name": model.name,
        "versions": [str(one) for one in known],
        "platform": PLATFORM,
        "inputs": _tensors(config.inputs, batched=batched),
        "outputs": _tensors(config.outputs, batched=batched),
    }


def _tensors(specs: Sequence[TensorSpec], *, batched: bool) -> list[dict[str, Json]]:
    """Name, datatype and shape of each, with -1 for the batch where there is one."""
    return [
        {
            "name": spec.name,
            "datatype": spec.datatype,
            "shape": [-1, *spec.dims] if batched else [*spec.dims],
        }
        for spec in specs
    ]


def model_statistics(v2: V2, name: str, number: str) -> list[dict[str, Json]]:
    """The statistics of a version, of all versions of a model, or, without a name, of all models.

    Raises:
        ModelNotFound: There is no such model or version.
        NotReady: The model has no version that can answer.
    """
    if not name:
        return [row for model in v2.repository.served() for row in _statistics_of(model)]
    model = v2.repository.find(name)
    if number:
        version = model.version(number)
        return [version.statistics.to_json(model.name, version.number)]
    model.version()  # says why there is none
    return _statistics_of(model)


def _statistics_of(model: ServedModel) -> list[dict[str, Json]]:
    return [
        version.statistics.to_json(model.name, number)
        for number, version in sorted(model.versions.items())
    ]
