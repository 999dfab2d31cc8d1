"""Requests over REST that ask about the server and its models, and that models answer."""

import gzip
import zlib
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from tests.triton.models import DATATYPES, WIDTH
from tests.triton.rest_case import (
    HEADER_LENGTH,
    SIMPLE,
    Case,
    request,
    simple,
    simple_inputs,
    tensor,
    with_binary,
)
from tests.triton.rest_refusals import refusals
from tests.triton.rest_settings import settings

_WIDE: Final = "/v2/models/wide"


def rest_cases() -> list[Case]:
    """All of them, in the order in which they are to be sent."""
    return [
        *_information(),
        *_infer(),
        *_binary(),
        *_outputs(),
        *_optional(),
        *_envelopes(),
        *refusals(),
        *settings(),
    ]


def _optional() -> Iterator[Case]:
    rows = tensor("rows", "FP32", [2, 2], [1, 2, 3, 4])
    bias = tensor("bias", "FP32", [2, 2], [0, 0, 1, 1])
    scale = tensor("scale", "FP32", [2, 1], [3, 4])
    asked = {
        "none of both": (rows,),
        "the first": (rows, bias),
        "the second": (scale, rows),
        "both": (scale, bias, rows),
        "not the needed one": (bias, scale),
        "nothing at all": (),
        "of another type": (rows, tensor("bias", "INT32", [2, 2], [0, 0, 1, 1])),
    }
    for name, inputs in asked.items():
        yield Case(f"optional inputs: {name}", "/v2/models/optional/infer", request(*inputs))


def _information() -> Iterator[Case]:
    for path in ("/v2/health/live", "/v2/health/ready", "/v2", "/v2/"):
        yield Case(f"GET {path}", path)
    for name in (
        "colour",
        "simple",
        "strings",
        "types",
        "labelled",
        "unbatched",
        "optional",
        "versions",
    ):
        for suffix in ("", "/ready", "/config"):
            yield Case(f"GET {name}{suffix}", f"/v2/models/{name}{suffix}")
    for path in ("", "/versions/1"):
        yield Case(f"statistics of counted{path}", f"/v2/models/counted{path}/stats")
    for version in ("1", "3", "2", "9", "x", "0", "-1"):
        path = f"/v2/models/versions/versions/{version}"
        yield Case(f"version {version}", path)
        yield Case(f"version {version} ready", f"{path}/ready")
        yield Case(f"version {version} config", f"{path}/config")
        if version not in ("1", "3"):
            yield Case(f"version {version} statistics", f"{path}/stats")
        body = request(tensor("number", "FP32", [1, 1], [5]))
        yield Case(f"version {version} infer", f"{path}/infer", body)
    yield Case("versions of wide", _WIDE)
    yield Case("version 0 of wide", f"{_WIDE}/versions/0")
    for suffix in ("", "/ready", "/config", "/stats", "/versions/1"):
        yield Case(f"unknown model{suffix}", f"/v2/models/nobody{suffix}")
    yield Case("unknown model infer", "/v2/models/nobody/infer", simple())
    yield Case("unknown path", "/v2/nothing")
    yield Case("path of escapes", "/v2/models/sim%70le")
    for path in ("/", "/v2/models"):
        yield Case(f"KServe's path {path}", path)
    yield Case("infer by GET", SIMPLE)
    yield Case("metadata by POST", "/v2", b"{}")


def _infer() -> Iterator[Case]:
    yield Case("two inputs", SIMPLE, simple())
    pixels = list(range(192))
    for shape in ([1, 8, 8, 3],):
        body = request(tensor("image", "UINT8", shape, pixels))
        yield Case("pixels", "/v2/models/colour/infer", body)
    nested = np.arange(384).reshape(2, 8, 8, 3) % 256
    body = request(tensor("image", "UINT8", [2, 8, 8, 3], nested.tolist()))
    yield Case("nested pixels", "/v2/models/colour/infer", body)
    texts = ["", "a", "日本", "two words", '"quoted"', "new\nline"]
    body = request(tensor("text", "BYTES", [2, 3], texts))
    yield Case("strings", "/v2/models/strings/infer", body)
    yield Case(
        "no strings", "/v2/models/strings/infer", request(tensor("text", "BYTES", [1, 0], []))
    )
    first, second = simple_inputs()
    body = request(
        {**first, "parameters": None}, second, outputs=[{"name": "OUTPUT0", "parameters": None}]
    )
    yield Case("tensors of null parameters", SIMPLE, body)
    yield from _datatypes()
    rows = request(tensor("rows", "FP32", [2, 3], [1, 2, 3, 4, 5, 6]))
    yield Case("no batch axis", "/v2/models/unbatched/infer", rows)
    rows = request(tensor("rows", "FP32", [0, 3], []))
    yield Case("no rows", "/v2/models/unbatched/infer", rows)
    for index in (2, 9):
        body = request(tensor("index", "INT64", [1, 1], [index]))
        yield Case(f"a run at index {index}", "/v2/models/picked/infer", body)


def _datatypes() -> Iterator[Case]:
    values: dict[str, Any] = {"BOOL": [True, False], "UINT64": [0, 2**64 - 1]}
    values |= {"INT64": [-(2**63), 2**63 - 1], "FP64": [0.1, 1e300], "FP32": [0.1, -2.5]}
    every = {name: tensor(name, name, [1, 2], values.get(name, [1, 2])) for name in DATATYPES}
    yield Case("FP16 in JSON", "/v2/models/types/infer", request(*every.values()))
    size = {"parameters": {"binary_data_size": 4}}
    every["FP16"] = tensor("FP16", "FP16", [1, 2], **size)
    asked = [
        {"name": f"{name}_OUT", "parameters": {"binary_data": name == "FP16"}} for name in every
    ]
    half = np.array([1.5, -2], np.float16)
    body = with_binary(request(*every.values(), outputs=asked), half)
    yield Case("datatypes in JSON", "/v2/models/types/infer", *body)
    for name in ("BOOL", "INT8", "UINT64", "FP16", "FP64"):
        asked = [{"name": f"{name}_OUT", "parameters": {"classification": 1}}]
        body = with_binary(request(*every.values(), outputs=asked), half)
        yield Case(f"classification of {name}", "/v2/models/types/infer", *body)
    asked = [{"name": "FP16_OUT"}]
    body = with_binary(request(*every.values(), outputs=asked), half)
    yield Case("FP16 out in JSON", "/v2/models/types/infer", *body)


def _binary() -> Iterator[Case]:
    two = np.arange(16, dtype=np.int32), np.ones(16, np.int32)
    heads = [
        tensor(f"INPUT{index}", "INT32", [1, 16], parameters={"binary_data_size": 64})
        for index in (0, 1)
    ]
    yield Case("binary inputs", SIMPLE, *with_binary(request(*heads), *two))
    out = {"parameters": {"binary_data_output": True}}
    yield Case("binary both ways", SIMPLE, *with_binary(request(*heads, **out), *two))
    mixed = request(heads[0], simple_inputs()[1])
    yield Case("one input binary", SIMPLE, *with_binary(mixed, two[0]))
    one = [{"name": "OUTPUT1", "parameters": {"binary_data": True}}, {"name": "OUTPUT0"}]
    yield Case("one output binary", SIMPLE, simple(outputs=one))
    one = [{"name": "OUTPUT1", "parameters": {"binary_data": False}}, {"name": "OUTPUT0"}]
    yield Case("one output not binary", SIMPLE, simple(outputs=one, **out))
    yield Case("too few binary bytes", SIMPLE, *with_binary(request(*heads), two[0]))
    yield Case("too many binary bytes", SIMPLE, *with_binary(request(*heads), *two, b"more"))
    for size in (60, 68, 0, -1, "64", 1.5, None):
        sized = tensor("INPUT0", "INT32", [1, 16], parameters={"binary_data_size": size})
        body = with_binary(request(sized, heads[1]), *two)
        yield Case(f"binary_data_size {size!r}", SIMPLE, *body)
    for length in ("x", "-1", "100000", "1"):
        yield Case(f"header length {length}", SIMPLE, simple(), {HEADER_LENGTH: length})
    raw = np.arange(192, dtype=np.uint8).tobytes()
    yield Case("raw body", "/v2/models/colour/infer", raw, {HEADER_LENGTH: "0"})
    yield Case("raw body too short", "/v2/models/colour/infer", raw[:100], {HEADER_LENGTH: "0"})
    yield Case("raw body, two inputs", SIMPLE, raw, {HEADER_LENGTH: "0"})
    text = b"any bytes \xff"
    yield Case("raw string", "/v2/models/strings/infer", text, {HEADER_LENGTH: "0"})
    strings = b"\x03\0\0\0abc\0\0\0\0"
    head = tensor("text", "BYTES", [1, 2], parameters={"binary_data_size": len(strings)})
    body = with_binary(request(head, **out), strings)
    yield Case("binary strings", "/v2/models/strings/infer", *body)
    head = tensor("text", "BYTES", [1, 0], parameters={"binary_data_size": 0})
    body = with_binary(request(head, **out))
    yield Case("no binary strings", "/v2/models/strings/infer", *body)
    other = b"\x02\0\0\0\xff\xfe\0\0\0\0"
    head = tensor("text", "BYTES", [1, 2], parameters={"binary_data_size": len(other)})
    body = with_binary(request(head, **out), other)
    yield Case("binary strings that are no UTF-8", "/v2/models/strings/infer", *body)
    for label, broken in (("cut", b"\x03\0\0\0ab"), ("one", b"\x03\0\0\0abc")):
        head = tensor("text", "BYTES", [1, 2], parameters={"binary_data_size": len(broken)})
        body = with_binary(request(head), broken)
        yield Case(f"binary strings {label}", "/v2/models/strings/infer", *body)
    arrays = [np.array([[1, 0]]).astype(_numpy(name)) for name in DATATYPES]
    every = [
        tensor(name, name, [1, 2], parameters={"binary_data_size": array.nbytes})
        for name, array in zip(DATATYPES, arrays, strict=True)
    ]
    body = with_binary(request(*every, **out), *arrays)
    yield Case("all datatypes in binary", "/v2/models/types/infer", *body)


def _numpy(datatype: str) -> str:
    return datatype.lower().replace("fp", "float")


def _outputs() -> Iterator[Case]:
    asked: list[Any]
    for names in (["OUTPUT1"], ["OUTPUT1", "OUTPUT0"], ["OUTPUT0", "OUTPUT0"], ["OUTPUT9"], []):
        asked = [{"name": name} for name in names]
        yield Case(f"outputs {names}", SIMPLE, simple(outputs=asked))
    values = tensor("values", "FP32", [2, 5], [3, 1, 2, 5, 4, 1, 1, 1, 0, 2])
    for count in (1, 3, 5, 9, 0, -1, "2", 1.5, True, 2**40):
        asked = [{"name": "scores", "parameters": {"classification": count}}]
        body = request(values, outputs=asked)
        yield Case(f"classification {count!r}", "/v2/models/labelled/infer", body)
    asked = [{"name": name, "parameters": {"classification": 1}} for name in ("scores", "plain")]
    body = request(values, outputs=asked)
    yield Case("classification of two outputs", "/v2/models/labelled/infer", body)
    both: dict[str, Any] = {"classification": 2, "binary_data": True}
    for name in ("scores", "coded"):
        body = request(values, outputs=[{"name": name, "parameters": both}])
        yield Case(f"classification of {name}, binary", "/v2/models/labelled/infer", body)
    scores = tensor("values", "FP32", [1, WIDTH], [index % 3 for index in range(WIDTH)])
    asked = [{"name": "scores", "parameters": {"classification": WIDTH}}]
    yield Case("classes of equal scores", f"{_WIDE}/infer", request(scores, outputs=asked))
    scores = tensor("values", "FP32", [1, WIDTH], [-index for index in range(WIDTH)])
    asked = [{"name": "lines", "parameters": {"classification": 4}}]
    yield Case("labels of lines with \\r", f"{_WIDE}/infer", request(scores, outputs=asked))
    asked = [{"name": "OUTPUT0", "parameters": {"classification": 2}}]
    yield Case("classification without labels", SIMPLE, simple(outputs=asked))
    body = request(
        tensor("rows", "FP32", [2, 3], [1, 2, 3, 4, 5, 6]),
        outputs=[{"name": "sums", "parameters": {"classification": 1}}],
    )
    yield Case("classification without batch axis", "/v2/models/unbatched/infer", body)


def _envelopes() -> Iterator[Case]:
    for identifier in ("abc", "", 7, -7, 1.5, None, True):
        yield Case(f"id {identifier!r}", SIMPLE, simple(id=identifier))
    good = {"a": 1, "b": "text", "c": True, "d": 1.5, "e": -1}
    yield Case("parameters", SIMPLE, simple(parameters=good))
    bads: list[Any] = [{"a": [1]}, {"a": {}}, {"a": None}, [], "text"]
    for bad in bads:
        yield Case(f"parameters {bad!r}", SIMPLE, simple(parameters=bad))
    for key in ("priority", "timeout", "sequence_id"):
        for value in (1, -1, "1", 1.5):
            yield Case(f"{key} {value!r}", SIMPLE, simple(parameters={key: value}))
    yield Case("parameters of Triton", SIMPLE, simple(parameters={"triton_x": 1}))
    final = {"triton_enable_empty_final_response": True}
    yield Case("parameters of streams", SIMPLE, simple(parameters=final))
    first, second = simple_inputs()
    for bad in ([], "text"):
        body = request({**first, "parameters": bad}, second)
        yield Case(f"parameters {bad!r} of an input", SIMPLE, body)
        body = simple(outputs=[{"name": "OUTPUT0", "parameters": bad}])
        yield Case(f"parameters {bad!r} of an output", SIMPLE, body)
    twice = simple().replace(b"{", b'{"id": "first", "id": "last", ', 1)
    yield Case("a key twice", SIMPLE, twice)
    yield Case("sequence flags", SIMPLE, simple(parameters={"sequence_start": True}))
    yield Case("byte order mark", SIMPLE, b"\xef\xbb\xbf" + simple())
    yield Case("other keys", SIMPLE, simple(what=1))
    yield Case("gzip", SIMPLE, gzip.compress(simple()), {"Content-Encoding": "gzip"})
    yield Case("deflate", SIMPLE, zlib.compress(simple()), {"Content-Encoding": "deflate"})
    yield Case("gzip that is none", SIMPLE, simple(), {"Content-Encoding": "gzip"})
    cut = gzip.compress(simple())[:-12]
    yield Case("gzip cut short", SIMPLE, cut, {"Content-Encoding": "gzip"})
    yield Case("unknown encoding", SIMPLE, simple(), {"Content-Encoding": "br"})
    for name, body in (("GZIP", gzip.compress(simple())), ("Identity", simple())):
        yield Case(f"encoding {name}", SIMPLE, body, {"Content-Encoding": name})
    for encoding in ("gzip", "deflate", "br", "gzip;q=0.5, deflate;q=0.9", "identity", "*"):
        accept = {"Accept-Encoding": encoding}
        yield Case(f"accept {encoding}", SIMPLE, simple(), accept)
        long = request(tensor("text", "BYTES", [4, 1], ["long " * 400] * 4))
        yield Case(f"long, accept {encoding}", "/v2/models/strings/infer", long, accept)
    for kind in ("text/plain", "application/json; charset=utf-8", "application/octet-stream"):
        yield Case(f"content type {kind}", SIMPLE, simple(), {"Content-Type": kind})
