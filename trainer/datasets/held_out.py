"""Names of pictures -> the ones kept from the training, where nobody gives a validation split.

Which they are depends on the names alone: the same folder is split in the same way by every run and
every process, and a picture that is added moves few others.
"""

from collections.abc import Sequence
from hashlib import sha256

from trainer.errors import DatasetError


def held_out(names: Sequence[str], share: float, where: object) -> frozenset[int]:
    """The places of the pictures that are to be validated on: those of the smallest hashes.

    Args:
        names: The pictures' names.
        share: How many of them, from 0 to 1; at least one.
        where: The dataset, for messages.

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
    return frozenset(sorted(range(len(names)), key=lambda place: digests[place])[:count])
