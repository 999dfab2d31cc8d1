"""Which model answers where the path does not say it."""

from typing import Final

from starlette.requests import Request

from server.model import ServedModel
from server.protocol.http_errors import NoModelChosen
from server.repository import Repository

MODEL_HEADER: Final = "Aperture-Model"


def named_model(request: Request) -> str | None:
    """The model that a request names beside its path, if it does."""
    return request.query_params.get("model") or request.headers.get(MODEL_HEADER)


def choose_model(
    repository: Repository, name: str | None, how: str = f"?model=NAME or the header {MODEL_HEADER}"
) -> ServedModel:
    """The model of that name; without one, the only one that there is.

    Args:
        repository: The models.
        name: What the request names.
        how: What names one, for the error.

    Raises:
        ModelNotFound: There is none of that name.
        NoModelChosen: There are several, or none, and no name.
    """
    if name is not None:
        return repository.find(name)
    models = repository.served()
    if len(models) != 1:
        names = [model.name for model in models]
        raise NoModelChosen(names, how)
    return models[0]
