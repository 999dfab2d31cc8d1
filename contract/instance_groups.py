"""The `instance_group` of config.pbtxt, read once: what placement, scheduling and the rate limiter need.

Source: https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto
"""

from dataclasses import dataclass
from typing import Any, Final

from contract.model_config import ModelConfig

MOST_INSTANCES: Final = 4096


@dataclass(frozen=True, slots=True)
class Resource:
    """What an instance takes while it runs.

    Attributes:
        name: The resource's name.
        is_global: Whether there is one pool of it for the whole system, not one on each device.
        count: Copies of it.
    """

    name: str
    is_global: bool
    count: int


@dataclass(frozen=True, slots=True)
class InstanceGroup:
    """Instances of a model that are alike.

    Attributes:
        kind: KIND_AUTO, KIND_CPU, KIND_GPU or KIND_MODEL.
        count: How many there are, on each of its GPUs.
        gpus: The CUDA devices that it names; empty where it names none.
        resources: What each takes while it runs.
        priority: An instance of priority 2 has half the chances of one of priority 1.
    """

    kind: str = "KIND_AUTO"
    count: int = 1
    gpus: tuple[int, ...] = ()
    resources: tuple[Resource, ...] = ()
    priority: int = 1


def read_instance_groups(config: ModelConfig) -> tuple[InstanceGroup, ...]:
    """The groups whose instances run requests; one of one instance where the file has no group.

    Raises:
        ConfigError: All of them are passive, or their instances are too many.
    """
    message: Any = config.message  # its class is generated, without types
    groups = tuple(_group(entry) for entry in message.instance_group if not entry.passive)
    if not groups and message.instance_group:
        raise config.refusal("every instance_group is passive; expected one that runs requests")
    count = sum(group.count for group in groups)
    if count > MOST_INSTANCES:
        raise config.refusal(
            f"instance_group has {count} instances; expected up to {MOST_INSTANCES}"
        )
    return groups or (InstanceGroup(),)


def _group(entry: Any) -> InstanceGroup:
    kinds = entry.DESCRIPTOR.fields_by_name["kind"].enum_type.values_by_number
    limiter = entry.rate_limiter
    return InstanceGroup(
        kind=kinds[entry.kind].name,
        count=max(1, entry.count),
        gpus=tuple(entry.gpus),
        resources=tuple(
            Resource(one.name, getattr(one, "global"), one.count) for one in limiter.resources
        ),
        priority=max(1, limiter.priority),
    )
