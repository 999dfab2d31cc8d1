"""Calls over gRPC about logs, traces, shared memory and the model repository."""

import json
from collections.abc import Iterator

from google.protobuf.json_format import ParseDict

from server.protocol import oip_pb2 as oip
from tests.triton.grpc_case import RpcCase, rpc


def settings() -> list[RpcCase]:
    """All of them, in the order in which they are to be made."""
    return [*_settings(), *_repository()]


def _settings() -> Iterator[RpcCase]:
    yield rpc("log settings", "LogSettings")
    for key, value in (
        ("log_verbose_level", {"uint32_param": 1}),
        ("log_verbose_level", {"uint32_param": 0}),
        ("log_verbose_level", {"string_param": "1"}),
        ("log_info", {"bool_param": True}),
        ("log_info", {"string_param": "x"}),
        ("log_info", {}),
        ("log_format", {"string_param": "ISO8601"}),
        ("log_format", {"string_param": "default"}),
        ("log_format", {"string_param": "xml"}),
        ("log_what", {"bool_param": True}),
    ):
        request = ParseDict({"settings": {key: value}}, oip.LogSettingsRequest())
        yield RpcCase(f"log {key} {value}", "LogSettings", (request,))
    for model in ("", "simple", "nobody"):
        yield rpc(f"trace settings {model}", "TraceSetting", model_name=model)
    for key, values in (
        ("trace_rate", ["0"]),
        ("trace_rate", ["1_000"]),
        ("trace_rate", ["10"]),
        ("trace_rate", []),
        ("trace_rate", ["x"]),
        ("trace_rate", ["1", "2"]),
        ("trace_level", ["OFF"]),
        ("trace_count", ["-1"]),
        ("what", ["1"]),
    ):
        settings = {"settings": {key: {"value": values}}}
        setting = ParseDict(settings, oip.TraceSettingRequest())
        yield RpcCase(f"trace {key} {values}", "TraceSetting", (setting,))
    for kind in ("System", "Cuda"):
        memory = f"{kind}SharedMemory"
        yield rpc(f"{memory} status", f"{memory}Status")
        yield rpc(f"{memory} status nobody", f"{memory}Status", name="nobody")
        yield rpc(f"{memory} unregister", f"{memory}Unregister", name="nobody")
        yield rpc(f"{memory} unregister all", f"{memory}Unregister")
    yield rpc("register nothing", "SystemSharedMemoryRegister", name="r", key="/no", byte_size=8)


def _repository() -> Iterator[RpcCase]:
    yield rpc("index", "RepositoryIndex")
    yield rpc("index ready", "RepositoryIndex", ready=True)
    yield rpc("index of a repository", "RepositoryIndex", repository_name="r")
    yield rpc("load nobody", "RepositoryModelLoad", model_name="nobody")
    yield rpc("unload nobody", "RepositoryModelUnload", model_name="nobody")
    for flag in ({"int64_param": 1}, {"bool_param": True}):
        asked = {"model_name": "picked", "parameters": {"unload_dependents": flag}}
        unload = ParseDict(asked, oip.RepositoryModelUnloadRequest())
        yield RpcCase(f"unload with dependents {flag}", "RepositoryModelUnload", (unload,))
    yield rpc("load what was unloaded", "RepositoryModelLoad", model_name="picked")
    for key, value in (
        ("config", {"string_param": "{"}),
        ("config", {"bool_param": True}),
        ("config", {}),
        ("config", {"string_param": json.dumps({"what": 1})}),
        ("file:1/model.onnx", {"bytes_param": "AAAA"}),
        ("x", {"string_param": "1"}),
    ):
        fields = {"model_name": "labelled", "parameters": {key: value}}
        request = ParseDict(fields, oip.RepositoryModelLoadRequest())
        yield RpcCase(f"load {key} {value}", "RepositoryModelLoad", (request,))
    yield rpc("load", "RepositoryModelLoad", model_name="labelled")
