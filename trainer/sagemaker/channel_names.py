"""The names of a job's channels and those that its algorithm reads: a slip is refused, others are named.

A channel of an unknown name would be passed over without a word, and with it what it was to change:
its label map, its validation, the model to begin with.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from contract.errors import OptionsError
from contract.options import nearest
from trainer.sagemaker.incremental import MODEL_CHANNEL

_SLIP: Final = 0.85
"""How near a slip is: `label_maps` and `validations` are, `evaluation` and `test_annotation` are not."""


def refuse_slips(names: Iterable[str], algorithm: str, reads: Sequence[str]) -> None:
    """Refuse names that are unknown, but near one that is read.

    Args:
        names: The job's channels.
        algorithm: The algorithm's name.
        reads: The channels that it reads besides `model`.

    Raises:
        OptionsError: One line for each of them.
    """
    known = [*reads, MODEL_CHANNEL]
    slips = {name: nearest(name.lower(), known, _SLIP) for name in names if name not in known}
    faults = [
        f"channel {name}: {algorithm} does not read it; expected one of {', '.join(known)}; "
        f"did you mean {near}?"
        for name, near in slips.items()
        if near is not None
    ]
    if faults:
        raise OptionsError(faults)


def unread_note(names: Iterable[str], algorithm: str, reads: Sequence[str]) -> list[str]:
    """A line with the channels that the algorithm does not read, where there are such."""
    known = [*reads, MODEL_CHANNEL]
    unread = [name for name in names if name not in known]
    if not unread:
        return []
    return [
        f"channels that {algorithm} does not read: {', '.join(unread)}; it reads {', '.join(known)}"
    ]
