"""A route whose requests a model answers: those of traces."""

from collections.abc import Iterable, Sequence

from starlette.routing import BaseRoute, Route


class InferenceRoute(Route):
    """A route of inference requests, each of which is a span where traces are asked for."""


def inference_routes(routes: Iterable[BaseRoute]) -> Sequence[InferenceRoute]:
    """Those of the routes that are of inference requests."""
    return [route for route in routes if isinstance(route, InferenceRoute)]
