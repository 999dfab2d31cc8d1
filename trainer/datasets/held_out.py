"""Names of pictures -> the ones kept from the training, where nobody gives a validation split.

Which they are depends on the names alone: the same folder is split in the same way by every run and
every process, and a picture that is added moves few others.
"""

from collections.abc import Collection, Sequence
from hashlib import sha256

from trainer.errors import DatasetError


def held_out(
    names: Sequence[str], share: float, where: object, annotated: Collection[int] = ()
) -> frozenset[int]:
    """The places of the pictures that are to be validated on: those of the smallest hashes.

    Of two annotated pictures and more, each side gets one: without an object there is nothing to
    learn, and nothing to measure.

    Args:
        names: The pictures' names.
        share: How many of them, from 0 to 1; at least one.
        where: The dataset, for messages.
        annotated: The places of those of which the share is taken apart from the others'.

    Raises:
        DatasetError: There are fewer than two pictures.
    """
    if len(names) < 2:
        raise DatasetError(
            f"{where}: {len(names)} pictures cannot be split into training and validation; add a "
            "validation channel or more pictures"
        )
    count = min(max(1, round(share * len(names))), len(names) - 1)
    digests = [sha256(name.encode("utf-8", "surrogatepass")).digest() for name in names]
    order = sorted(range(len(names)), key=lambda place: digests[place])
    first = [place for place in order if place in annotated]
    rest = [place for place in order if place not in annotated]
    kept = first[: min(max(1, round(share * len(first))), len(first) - 1)] if len(first) > 1 else []
    return frozenset(kept + rest[: count - len(kept)])
