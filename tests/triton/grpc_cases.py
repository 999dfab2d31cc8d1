"""Requests over gRPC that are sent to both servers, each under the name of what it asks."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from server.protocol import oip_pb2 as oip
from tests.triton.grpc_case import RpcCase, rpc
from tests.triton.grpc_settings import settings
from tests.triton.models import DATATYPES, WIDTH


def grpc_cases() -> list[RpcCase]:
    """All of them, in the order in which they are to be sent."""
    return [
        *_information(),
        *_typed(),
        *_raw(),
        *_outputs(),
        *_parameters(),
        *_bad_inputs(),
        *_stream(),
        *settings(),
    ]


def _infer(name: str, /, **request: Any) -> RpcCase:
    """A ModelInfer of fields as JSON has them, but for raw_input_contents."""
    return RpcCase(name, "ModelInfer", (_message(**request),))


def _message(**request: Any) -> Message:
    raw = request.pop("raw", ())
    message = ParseDict({"model_name": "simple", **request}, oip.ModelInferRequest())
    message.raw_input_contents.extend(raw)
    return message


def _tensor(name: str, datatype: str, shape: list[int], **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, **more}


_FIRST: Final = _tensor("INPUT0", "INT32", [1, 16])
_SECOND: Final = _tensor("INPUT1", "INT32", [1, 16])
_RAW: Final = (np.arange(16, dtype=np.int32).tobytes(), np.ones(16, np.int32).tobytes())
_TYPED: Final = {
    "inputs": [
        {**_FIRST, "contents": {"int_contents": list(range(16))}},
        {**_SECOND, "contents": {"int_contents": [1] * 16}},
    ]
}


_COUNTING: Final = ("simple", "")
"""Models whose statistics depend on the cases before."""


def _information() -> Iterator[RpcCase]:
    for method in ("ServerLive", "ServerReady", "ServerMetadata"):
        yield rpc(method, method)
    for name, version in (
        ("simple", ""),
        ("versions", ""),
        ("versions", "3"),
        ("counted", "1"),
        ("versions", "2"),
        ("versions", "x"),
        ("versions", "-1"),
        ("versions", "+1"),
        ("versions", " 1"),
        ("versions", "1a"),
        ("nobody", ""),
        ("", ""),
    ):
        methods = ["ModelReady", "ModelMetadata", "ModelConfig"]
        for method in (*methods, *(["ModelStatistics"] if name not in _COUNTING else [])):
            yield rpc(f"{method} {name} {version}", method, name=name, version=version)
        number = _tensor("number", "FP32", [1, 1], contents={"fp32_contents": [5]})
        asked = {"model_name": name, "model_version": version, "inputs": [number]}
        if name != "counted":
            yield _infer(f"ModelInfer {name} {version}", **asked)
    for version in ("", "0"):
        yield rpc(f"versions of wide {version}", "ModelMetadata", name="wide", version=version)


def _typed() -> Iterator[RpcCase]:
    yield _infer("typed contents", **_TYPED)
    text = {"bytes_contents": ["YQ==", "", "/w=="]}  # base64 of a, nothing and a byte of no UTF-8
    strings = {"model_name": "strings"}
    yield _infer(
        "bytes of no UTF-8", **strings, inputs=[_tensor("text", "BYTES", [1, 3], contents=text)]
    )
    text = {"bytes_contents": ["YQ==", "Yg=="]}
    yield _infer(
        "typed strings", **strings, inputs=[_tensor("text", "BYTES", [2, 1], contents=text)]
    )
    yield _infer(
        "too few strings", **strings, inputs=[_tensor("text", "BYTES", [3, 1], contents=text)]
    )
    for count in (15, 17, 0):
        inputs = [{**_FIRST, "contents": {"int_contents": [1] * count}}, _TYPED["inputs"][1]]
        yield _infer(f"{count} typed numbers", inputs=inputs)
    inputs = [{**_FIRST, "contents": {"fp32_contents": [1] * 16}}, _TYPED["inputs"][1]]
    yield _infer("numbers of another type", inputs=inputs)
    inputs = [{**_FIRST, "contents": {"int_contents": [1] * 16, "fp32_contents": [1]}}]
    yield _infer("numbers of two types", inputs=[*inputs, _TYPED["inputs"][1]])
    small = {"int_contents": [300] * 2}
    types = [_tensor(name, name, [1, 2], contents=_contents(name)) for name in DATATYPES]
    model = {"model_name": "types"}
    yield _infer("FP16 in typed contents", **model, inputs=types)
    types = [
        {**entry, **({"contents": small} if entry["name"] == "INT8" else {})} for entry in types
    ]
    yield _infer("a number that INT8 cannot hold", **model, inputs=types)


def _contents(datatype: str) -> dict[str, Any]:
    field = {"BOOL": "bool", "INT64": "int64", "UINT64": "uint64", "FP32": "fp32", "FP64": "fp64"}
    kind = field.get(datatype, "uint" if datatype.startswith("UINT") else "int")
    return {f"{kind}_contents": [True, False] if kind == "bool" else [1, 2]}


def _raw() -> Iterator[RpcCase]:
    inputs = [_FIRST, _SECOND]
    yield _infer("raw contents", inputs=inputs, raw=_RAW)
    yield _infer("raw contents, one too few", inputs=inputs, raw=_RAW[:1])
    yield _infer("raw contents, one too many", inputs=inputs, raw=(*_RAW, b""))
    yield _infer("raw and typed contents", **_TYPED, raw=_RAW)
    yield _infer("raw contents too short", inputs=inputs, raw=(_RAW[0][:60], _RAW[1]))
    yield _infer("raw contents too long", inputs=inputs, raw=(_RAW[0] + b"1234", _RAW[1]))
    arrays = [np.array([[1, 0]]).astype(name.lower().replace("fp", "float")) for name in DATATYPES]
    types = [_tensor(name, name, [1, 2]) for name in DATATYPES]
    raw = tuple(array.tobytes() for array in arrays)
    yield _infer("all datatypes", model_name="types", inputs=types, raw=raw)
    asked = [{"name": "FP16_OUT", "parameters": {"classification": {"int64_param": 1}}}]
    half = {"model_name": "types", "inputs": types, "raw": raw, "outputs": asked}
    yield _infer("classes of FP16", **half)
    strings = {"model_name": "strings", "inputs": [_tensor("text", "BYTES", [1, 2])]}
    for label, data in (
        ("", b"\1\0\0\0a\0\0\0\0"),
        (" cut", b"\1\0\0\0a\2\0\0\0b"),
        (" too few", b"\1\0\0\0a"),
        (" too many", b"\1\0\0\0a" * 3),
        (" cut length", b"\1\0\0\0a\0\0"),
    ):
        yield _infer(f"raw strings{label}", **strings, raw=(data,))
    rows = {"model_name": "unbatched", "raw": (np.ones(6, np.float32).tobytes(),)}
    scores = np.array([index % 3 for index in range(WIDTH)], np.float32)
    wide = {"inputs": [_tensor("values", "FP32", [1, WIDTH])], "raw": (scores.tobytes(),)}
    asked = [{"name": "scores", "parameters": {"classification": {"int64_param": WIDTH}}}]
    yield _infer("classes of equal scores", model_name="wide", **wide, outputs=asked)
    yield _infer("no batch axis", **rows, inputs=[_tensor("rows", "FP32", [2, 3])])
    yield _infer("no batch axis, wrong shape", **rows, inputs=[_tensor("rows", "FP32", [3, 2])])


def _outputs() -> Iterator[RpcCase]:
    for names in (["OUTPUT1"], ["OUTPUT0", "OUTPUT1"], ["OUTPUT0"] * 2, ["OUTPUT9"]):
        yield _infer(f"outputs {names}", **_TYPED, outputs=[{"name": name} for name in names])
    for parameter in (
        {"int64_param": 2},
        {"int64_param": 0},
        {"int64_param": -1},
        {"string_param": "2"},
    ):
        asked = [{"name": "OUTPUT0", "parameters": {"classification": parameter}}]
        yield _infer(f"classification {parameter}", **_TYPED, outputs=asked)
    values = [_tensor("values", "FP32", [1, 5], contents={"fp32_contents": [3, 1, 2, 5, 4]})]
    for name in ("scores", "coded"):
        asked = [{"name": name, "parameters": {"classification": {"int64_param": 2}}}]
        yield _infer(f"labels of {name}", model_name="labelled", inputs=values, outputs=asked)


def _parameters() -> Iterator[RpcCase]:
    yield _infer("id", id="r-1", **_TYPED)
    for key, value in (
        ("a", {"int64_param": 1}),
        ("a", {"string_param": "x"}),
        ("a", {"bool_param": True}),
        ("a", {"double_param": 1.5}),
        ("a", {}),
        ("priority", {"int64_param": 1}),
        ("priority", {"uint64_param": 1}),
        ("priority", {"int64_param": -1}),
        ("priority", {"string_param": "1"}),
        ("timeout", {"int64_param": 1}),
        ("timeout", {"string_param": "1"}),
        ("timeout", {"uint64_param": 1}),
        ("timeout", {"int64_param": -1}),
        ("a", {"uint64_param": 1}),
        ("triton_x", {"int64_param": 1}),
        ("sequence_id", {"int64_param": 1}),
        ("sequence_id", {"bool_param": True}),
        ("sequence_start", {"int64_param": 1}),
    ):
        yield _infer(f"parameter {key} {value}", **_TYPED, parameters={key: value})
    region: dict[str, Any] = {"shared_memory_region": {"string_param": "nobody"}}
    region["shared_memory_byte_size"] = {"int64_param": 64}
    inputs = [{**_FIRST, "parameters": region}, _TYPED["inputs"][1]]
    yield _infer("input in an unknown region", inputs=inputs)
    inputs = [{**_TYPED["inputs"][0], "parameters": region}, _TYPED["inputs"][1]]
    yield _infer("input in a region and in the message", inputs=inputs)
    for key in region:
        one = {name: value for name, value in region.items() if name != key}
        inputs = [{**_FIRST, "parameters": one}, _TYPED["inputs"][1]]
        yield _infer(f"input without {key}", inputs=inputs)
        asked = [{"name": "OUTPUT0", "parameters": one}]
        yield _infer(f"output without {key}", **_TYPED, outputs=asked)
    offset = {"shared_memory_offset": {"int64_param": 0}}
    asked = [{"name": "OUTPUT0", "parameters": offset}]
    yield _infer("output with an offset alone", **_TYPED, outputs=asked)


def _bad_inputs() -> Iterator[RpcCase]:
    first, second = _TYPED["inputs"]
    yield _infer("no inputs")
    yield _infer("an input too few", inputs=[first])
    yield _infer("an unknown input", inputs=[first, {**second, "name": "INPUT9"}])
    yield _infer("an input twice", inputs=[first, first])
    for datatype in ("FP32", "BYTES", "INT99", ""):
        inputs = [{**_FIRST, "datatype": datatype}, _SECOND]
        yield _infer(f"datatype {datatype!r}", inputs=inputs, raw=_RAW)
    for shape in ([1, 15], [16], [1, 4, 4], [2, 16], [-1, 16], [0, 16], []):
        inputs = [{**_FIRST, "shape": shape}, _SECOND]
        yield _infer(f"shape {shape}", inputs=inputs, raw=_RAW)
    nine = [_tensor(f"INPUT{index}", "INT32", [9, 16]) for index in (0, 1)]
    yield _infer("batch over the maximum", inputs=nine, raw=(bytes(576), bytes(576)))


def _stream() -> Iterator[RpcCase]:
    good = [_message(id=f"r-{number}", **_TYPED) for number in range(6)]
    yield RpcCase("stream", "ModelStreamInfer", tuple(good))
    bad = [_message(id="b-1", model_name="nobody", **_TYPED), _message(id="b-2", inputs=[_FIRST])]
    mixed = (good[0], bad[0], good[1], bad[1], good[2])
    yield RpcCase("stream with errors", "ModelStreamInfer", mixed)
    yield RpcCase("stream of nothing", "ModelStreamInfer", ())
