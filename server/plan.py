"""What has to be loaded and unloaded, from what is there and what is wanted: a pure decision.

The same for the models of a repository and for the versions of a model. A stamp stands for the
content of the files that something is made from: another stamp, and it is loaded anew.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", int, str)


@dataclass(frozen=True, slots=True)
class Actions(Generic[Key]):
    """What to do.

    Attributes:
        load: To be loaded, new or changed, in their order.
        unload: To be unloaded, in their order.
    """

    load: tuple[Key, ...]
    unload: tuple[Key, ...]


def plan(present: Mapping[Key, Hashable], wanted: Mapping[Key, Hashable]) -> Actions[Key]:
    """What makes `present` into `wanted`, both stamps by key."""
    return Actions(
        load=tuple(key for key in sorted(wanted) if present.get(key) != wanted[key]),
        unload=tuple(sorted(present.keys() - wanted.keys())),
    )


def settled(
    present: Mapping[Key, Hashable],
    previous: Mapping[Key, Hashable],
    seen: Mapping[Key, Hashable],
) -> dict[Key, Hashable]:
    """What to want of `seen`: its stamps where the look before saw the same, else as at present.

    So something that is being copied is left alone until it stands still for one look.
    """
    wanted = {}
    for key, stamp in seen.items():
        if previous.get(key) == stamp:
            wanted[key] = stamp
        elif key in present:
            wanted[key] = present[key]
    return wanted
