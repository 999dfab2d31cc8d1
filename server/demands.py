"""What an instance takes of the server's resources while it runs: `rate_limiter` of config.pbtxt.

A resource is a name and a number of copies: one pool of them for the whole system where the file
says `global`, else a pool on each device.

Source: https://github.com/triton-inference-server/server/blob/main/docs/user_guide/rate_limiter.md
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from contract.instance_groups import InstanceGroup, read_instance_groups
from contract.model_config import ModelConfig

Pool: TypeAlias = tuple[str, int | None]
"""A resource's name, and its device; None: it is one for the whole system."""


_MOST_DIGITS: Final = 9


@dataclass(frozen=True, slots=True)
class Demand:
    """What a run of an instance takes.

    Attributes:
        needs: Copies of each pool.
        priority: An instance of priority 2 has half the chances of one of priority 1.
    """

    needs: Mapping[Pool, int] = field(default_factory=dict)
    priority: int = 1


def place_demands(
    config: ModelConfig, devices: Sequence[int], gpu_count: int
) -> tuple[Demand, ...]:
    """The demand of each instance, in the order in which contract/placement.py places them.

    Args:
        config: The model's configuration.
        devices: The device of each instance; the CPU is device 0, as in Triton.
        gpu_count: The machine's CUDA devices where the instances run on those, else 0.
    """
    owners: list[InstanceGroup] = []
    for group in read_instance_groups(config):
        places = (len(group.gpus) or gpu_count) if gpu_count else 1
        owners += [group] * (group.count * places)
    # A provider that a flag demands may leave fewer instances than the file asks for.
    return tuple(_demand(group, device) for group, device in zip(owners, devices, strict=False))


def parse_resource(text: str) -> tuple[Pool, int]:
    """The copies of a resource that `--rate_limit_resource` names, on a device or on each (None).

    Raises:
        ValueError: The text is not of that form.
    """
    name, *numbers = text.split(":")
    if not name or len(numbers) not in (1, 2) or not all(map(_is_number, numbers)):
        raise ValueError(f"got {text!r}, expected NAME:COUNT or NAME:COUNT:DEVICE")
    count, *device = map(int, numbers)
    return (name, device[0] if device else None), count


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS


def _demand(group: InstanceGroup, device: int) -> Demand:
    needs = {(one.name, None if one.is_global else device): one.count for one in group.resources}
    return Demand({pool: count for pool, count in needs.items() if count}, group.priority)
