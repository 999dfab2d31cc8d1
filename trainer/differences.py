"""Two descriptions of a run or a model -> what they say differently, as errors tell it."""

from collections.abc import Mapping


def differences(
    present: Mapping[str, str], wanted: Mapping[str, str]
) -> dict[str, tuple[str | None, str | None]]:
    """By name, the values (present, wanted) that are not the same; None where one has no such name."""
    return {
        name: (present.get(name), wanted.get(name))
        for name in {**present, **wanted}
        if present.get(name) != wanted.get(name)
    }
