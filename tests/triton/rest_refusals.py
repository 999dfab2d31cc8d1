"""Infer requests over REST that are to be refused, though Triton takes some of them."""

import json
from collections.abc import Iterator
from typing import Any

from tests.triton.rest_case import SIMPLE, Case, request, simple, simple_inputs, tensor


def refusals() -> list[Case]:
    """All of them."""
    return [*_bad_inputs(), *_bad_data(), *_bad_bodies()]


def _bad_inputs() -> Iterator[Case]:
    first, second = simple_inputs()
    yield Case("no inputs", SIMPLE, request())
    yield Case("an input too few", SIMPLE, request(first))
    yield Case("an input too many", SIMPLE, request(first, second, {**first, "name": "INPUT2"}))
    yield Case("an unknown input", SIMPLE, request(first, {**second, "name": "INPUT9"}))
    yield Case("an input twice", SIMPLE, request(first, first))
    for key in ("name", "datatype", "shape", "data"):
        cut = {name: value for name, value in first.items() if name != key}
        yield Case(f"input without {key}", SIMPLE, request(cut, second))
    for datatype in ("FP32", "BYTES", "INT99", "", 5, "int32"):
        yield Case(
            f"datatype {datatype!r}", SIMPLE, request({**first, "datatype": datatype}, second)
        )
    shapes: list[Any] = [[1, 15], [1, 17], [16], [1, 4, 4], [2, 16], [9, 16], [0, 16], [], [-1, 16]]
    shapes += [[1, "16"], [1.0, 16], "1", None, [2**63, 16], [2**40, 2**40]]
    for shape in shapes:
        yield Case(f"shape {shape}", SIMPLE, request({**first, "shape": shape}, second))
    nine = [tensor(f"INPUT{index}", "INT32", [9, 16], [1] * 144) for index in (0, 1)]
    yield Case("batch over the maximum", SIMPLE, request(*nine))
    unequal = [tensor("INPUT0", "INT32", [2, 16], [1] * 32), second]
    yield Case("batches of two sizes", SIMPLE, request(*unequal))


def _bad_data() -> Iterator[Case]:
    first, second = simple_inputs()
    datas: list[Any] = [[1] * 15, [1] * 17, [], "text", 5, None, [1.5] * 16, ["1"] * 16]
    datas += [[True] * 16, [2**31] * 16, [[1] * 8, [1] * 8], [[1] * 15, [1]], [None] * 16, [{}]]
    for number, data in enumerate(datas):
        text = json.dumps(data)[:20]
        yield Case(f"data {number} {text}", SIMPLE, request({**first, "data": data}, second))
    for data in ([300] * 192, [-1] * 192, [1.5] * 192):
        body = request(tensor("image", "UINT8", [1, 8, 8, 3], data))
        yield Case(f"pixels of {data[0]}", "/v2/models/colour/infer", body)
    body = request(tensor("values", "FP32", [1, 5], [1e39] * 5))
    yield Case("numbers of 1e39", "/v2/models/labelled/infer", body)
    body = request(tensor("text", "BYTES", [5, 0], []))
    yield Case("rows of nothing over the maximum", "/v2/models/strings/infer", body)
    body = request(tensor("image", "UINT8", [1, 8, 9, 3], [1] * 216))
    yield Case("picture of another size", "/v2/models/colour/infer", body)
    for element in (5, None, ["a"], True):
        body = request(tensor("text", "BYTES", [1, 1], [element]))
        yield Case(f"string {element!r}", "/v2/models/strings/infer", body)
    body = request(tensor("rows", "FP32", [2, 4], [1] * 8))
    yield Case("wrong shape without batch axis", "/v2/models/unbatched/infer", body)
    body = request(tensor("rows", "FP32", [3], [1] * 3))
    yield Case("wrong rank without batch axis", "/v2/models/unbatched/infer", body)
    for value in (5, True, "5"):
        body = request(tensor("number", "FP32", [1, 1], value))
        yield Case(f"data of no list, {value!r}", "/v2/models/versions/infer", body)
    body = request(tensor("text", "BYTES", [1, 1], "abc"))
    yield Case("data of no list, a string", "/v2/models/strings/infer", body)
    region = {"shared_memory_region": "nobody", "shared_memory_byte_size": 64}
    body = request({**tensor("INPUT0", "INT32", [1, 16]), "parameters": region}, second)
    yield Case("input in an unknown region", SIMPLE, body)


def _bad_bodies() -> Iterator[Case]:
    bodies = (
        b"",
        b"{",
        b"nonsense",
        b"[]",
        b"5",
        b"null",
        b"{}",
        b'{"inputs": 5}',
        b'{"inputs": {}}',
    )
    for body in bodies:
        yield Case(f"body {body.decode()!r}", SIMPLE, body)
    yield Case("body not of UTF-8", SIMPLE, b'{"id": "\xff"}')
    yield Case("body with two documents", SIMPLE, simple() + b"{}")
    yield Case("inputs of numbers", SIMPLE, b'{"inputs": [5]}')
    yield Case("outputs no list", SIMPLE, simple(outputs=5))
    yield Case("outputs of numbers", SIMPLE, simple(outputs=[5]))
    yield Case("output without name", SIMPLE, simple(outputs=[{}]))
    yield Case("NaN", SIMPLE, simple(parameters={"a": float("nan")}))
    for depth in (90, 150):
        data = "[" * depth + "1" + "]" * depth
        body = simple().replace(b'"data": [0,', b'"data": %s, "x": [0,' % data.encode(), 1)
        yield Case(f"nested {depth} deep", SIMPLE, body)
