from unittest.mock import Mock

from contract.options import build
from server.protocol.endpoints import UNKNOWN, Endpoints
from server.protocol.invocations import Invocations
from server.protocol.metrics import MetricsPage
from server.protocol.openapi import document, openapi_routes
from server.protocol.operations import OPERATIONS
from server.protocol.surfaces import v2_surfaces
from server.protocol.v1 import V1
from server.settings import ServerOptions


def test_the_document_has_every_route_and_no_other() -> None:
    routes = [route for surface in v2_surfaces(Mock()) for route in surface.routes()]
    routes += [*V1(Mock(), Mock()).routes(), *MetricsPage(Mock()).routes(), *openapi_routes()]
    invocations = Invocations(Mock(), Mock(), build(ServerOptions, {"model_dir": "."}))
    routes += [*invocations.routes(), *Endpoints(Mock(), invocations).routes()]
    served = {(method, route.path) for route in routes for method in route.methods or ()}
    served.remove(("POST", UNKNOWN))  # no operation
    assert set(OPERATIONS) == {(method, path) for method, path in served if method != "HEAD"}


def test_every_schema_is_used_and_every_reference_has_one() -> None:
    written = document()
    components = written["components"]
    assert isinstance(components, dict)
    schemas = components["schemas"]
    assert isinstance(schemas, dict)
    text = str(written)
    assert {name for name in schemas if f"#/components/schemas/{name}'" not in text} == set()
    assert text.count("$ref") == sum(
        text.count(f"#/components/schemas/{name}'") for name in schemas
    )
