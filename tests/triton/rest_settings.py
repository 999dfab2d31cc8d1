"""Requests over REST about logs, traces, shared memory and the model repository."""

import json
import os
from collections.abc import Iterator
from typing import Any, Final

from tests.triton.rest_case import SIMPLE, Case, request, simple, simple_inputs

MEMORY: Final = f"/aperture-tests-{os.getpid()}"
"""The name of shared memory that there is while both servers run."""

_LOGGING: Final[list[Any]] = [
    {"log_verbose_level": 1},
    {"log_verbose_level": 0, "log_info": True},
    {"log_format": "ISO8601"},
    {"log_format": "default"},
    {"log_format": "xml"},
    {"log_info": "yes"},
    {"log_verbose_level": -1},
    {"log_verbose_level": "1"},
    {"log_what": 1},
    [],
]
_TRACES: Final[list[Any]] = [
    {"trace_level": ["TIMESTAMPS"]},
    {"trace_level": ["OFF"]},
    {"trace_rate": "0"},
    {"trace_rate": "1_000"},
    {"trace_rate": " +9"},
    {"trace_rate": "10"},
    {"trace_rate": None},
    {"trace_rate": "x"},
    {"trace_rate": 10},
    {"trace_level": ["NEVER"]},
    {"trace_level": "OFF"},
    {"trace_count": "-2"},
    {"trace_count": "-1", "log_frequency": "5"},
    {"trace_file": "traces"},
    {"what": "1"},
    [],
]


def settings() -> list[Case]:
    """All of them, in the order in which they are to be sent."""
    return [*_settings(), *_shared_memory(), *_repository()]


def _settings() -> Iterator[Case]:
    yield Case("logging", "/v2/logging")
    yield Case("trace setting", "/v2/trace/setting")
    yield Case("trace setting of a model", "/v2/models/simple/trace/setting")
    yield Case("trace setting of an unknown model", "/v2/models/nobody/trace/setting")
    for logging in _LOGGING:
        yield Case(f"logging {logging}", "/v2/logging", json.dumps(logging).encode())
    for trace in _TRACES:
        yield Case(f"trace {trace}", "/v2/trace/setting", json.dumps(trace).encode())
    path = "/v2/models/simple/trace/setting"
    own: list[Any] = [{"trace_rate": "7"}, {"trace_rate": None}, {"trace_count": "3"}]
    for trace in own:
        yield Case(f"trace of a model {trace}", path, json.dumps(trace).encode())


def _shared_memory() -> Iterator[Case]:
    for kind in ("system", "cuda"):
        base = f"/v2/{kind}sharedmemory"
        yield Case(f"{kind} memory status", f"{base}/status")
        yield Case(f"{kind} memory status of a region", f"{base}/region/nobody/status")
        yield Case(f"{kind} memory unregister", f"{base}/region/nobody/unregister", b"")
        yield Case(f"{kind} memory unregister all", f"{base}/unregister", b"")
    path = "/v2/systemsharedmemory/region/r/register"
    for body in (b'{"key": "/nobody", "offset": 0, "byte_size": 8}', b"{}", b"[]", b"{"):
        yield Case(f"register {body.decode()}", path, body)
    region = {"key": MEMORY, "offset": 64, "byte_size": 64}
    yield Case("register in a page", path, json.dumps(region).encode())
    whole = {"key": MEMORY, "offset": 0, "byte_size": 64}
    path = "/v2/systemsharedmemory/region/whole/register"
    yield Case("register whole", path, json.dumps(whole).encode())
    first, second = simple_inputs()
    first = {name: value for name, value in first.items() if name != "data"}
    for size in ({}, {"shared_memory_byte_size": 0}, {"shared_memory_byte_size": 64}):
        parameters = {"shared_memory_region": "whole", **size}
        body = request({**first, "parameters": parameters}, second)
        yield Case(f"input in a region, {size}", SIMPLE, body)
        body = simple(outputs=[{"name": "OUTPUT0", "parameters": parameters}])
        yield Case(f"output in a region, {size}", SIMPLE, body)
    yield Case("unregister the regions", "/v2/systemsharedmemory/unregister", b"")
    path = "/v2/cudasharedmemory/region/r/register"
    yield Case("register cuda {}", path, b"{}")


def _repository() -> Iterator[Case]:
    for body in (b"", b"{}", b'{"ready": true}', b'{"ready": 1}', b"[]", b"{"):
        yield Case(f"index {body.decode()}", "/v2/repository/index", body)
    models = "/v2/repository/models"
    yield Case("load an unknown model", f"{models}/nobody/load", b"")
    yield Case("unload an unknown model", f"{models}/nobody/unload", b"")
    for value in (1, True):
        body = json.dumps({"parameters": {"unload_dependents": value}}).encode()
        yield Case(f"unload with dependents {value}", f"{models}/picked/unload", body)
    yield Case("load what was unloaded", f"{models}/picked/load", b"")
    parameters: list[Any] = [
        {"config": "{"},
        {"config": 5},
        {"config": None},
        {"config": '{"what": 1}'},
        {"x": "1"},
    ]
    parameters += [{"file:1/model.onnx": "AAAA"}, {"config": '{"max_batch_size": -1}'}, 5]
    for each in parameters:
        body = json.dumps({"parameters": each}).encode()
        yield Case(f"load with {each}", f"{models}/labelled/load", body)
    for body in (b"[]", b"{", b"{}", b""):
        yield Case(f"load with body {body.decode()}", f"{models}/labelled/load", body)
