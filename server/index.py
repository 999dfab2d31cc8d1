"""The repository index: what there is, and the state of each version of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from server.model import LOADING, UNLOADED, ServedModel


@dataclass(frozen=True, slots=True)
class IndexRow:
    """A line of the repository index, with Triton's states.

    Attributes:
        name: The model.
        version: The version; empty where none of the model is known.
        state: LOADING, READY, UNLOADING or UNAVAILABLE; empty for a model never loaded, of which
            Triton prints the name alone.
        reason: Why it is not READY, or why what should replace it could not be loaded.
    """

    name: str
    version: str
    state: str
    reason: str


def index_rows(
    models: Mapping[str, ServedModel], on_disk: Iterable[str], *, only_ready: bool
) -> list[IndexRow]:
    """A row for each version of each model, in the order of names and numbers.

    Args:
        models: The models that are or were served.
        on_disk: Models that lie in the repository.
        only_ready: Whether to leave out what is not READY.
    """
    rows = []
    for name in sorted({*models, *on_disk}):
        model = models.get(name)
        rows += [IndexRow(name, "", "", "")] if model is None else _rows_of(model)
    return [row for row in rows if row.state == "READY" or not only_ready]


def _rows_of(model: ServedModel) -> list[IndexRow]:
    states = model.states()
    if not states:
        if model.reason == LOADING:
            return [IndexRow(model.name, "", "LOADING", "")]
        return [IndexRow(model.name, "", "UNAVAILABLE", model.reason)]
    rows = [
        IndexRow(model.name, str(number), one.state, one.reason) for number, one in states.items()
    ]
    if model.trouble not in ("", UNLOADED, LOADING):  # of the whole model, so shown at its newest
        newest = rows[-1]
        rows[-1] = IndexRow(newest.name, newest.version, newest.state, model.trouble)
    return rows
