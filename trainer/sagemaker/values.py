"""The values of SageMaker's hyperparameters, all of them text, and what they are read as.

hyperparameters.json holds text alone. SageMaker's SDK writes some of it as JSON, so that a name
arrives in quotes of its own, and truth values as Python's, `True`.
"""

import json
from collections.abc import Sequence
from typing import Annotated, Final, Literal, TypeAlias, get_args

from pydantic import BeforeValidator

from contract.options import shown

_TRUTH: Final = {"true": True, "false": False, "1": True, "0": False}


def unquoted(text: str) -> str:
    """The text within JSON's quotes, if it has them."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text
    return text


def read_truth(value: object) -> bool:
    """True or False, in any case of letters, or 1 or 0; ValueError for anything else."""
    truth = _TRUTH.get(str(value).strip().lower())
    if truth is None:
        raise ValueError(f"got {shown(value)}, expected True or False")
    return truth


def read_epochs(value: object) -> tuple[int, ...]:
    """Rising numbers of epochs from a text such as "10, 20"; ValueError for anything else."""
    parts: Sequence[object] = value if isinstance(value, Sequence) else ()
    if isinstance(value, str):
        parts = value.split(",")
    try:
        epochs = tuple(int(str(part)) for part in parts)
    except ValueError:
        epochs = ()
    if not epochs or epochs[0] < 1 or list(epochs) != sorted(set(epochs)):
        raise ValueError(f"got {shown(value)}, expected rising numbers of epochs such as '10, 20'")
    return epochs


def read_automatic(value: object) -> object:
    """Auto, True or False from any case of letters; anything else as it is, to be refused."""
    text = str(value).strip().capitalize()
    return text if text in get_args(_Automatic) else value


_Automatic: TypeAlias = Literal["Auto", "True", "False"]

Automatic = Annotated[_Automatic, BeforeValidator(read_automatic)]
Truth = Annotated[bool, BeforeValidator(read_truth)]
MaybeTruth = Annotated[bool | None, BeforeValidator(read_truth)]
Epochs = Annotated[tuple[int, ...], BeforeValidator(read_epochs)]
