"""Calls of one of tritonclient's four libraries, in a process of its own.

    python -m tests.triton.client http|http.aio|grpc|grpc.aio ADDRESS

Prints what the calls answered as one JSON object; the models are those of models.py. It is run
against tritonserver and against ours, and what it prints must be the same.
"""

import asyncio
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tritonclient.utils.shared_memory as shm
from numpy.typing import NDArray

from tests.clients.triton_library import done, refused, stream_answers
from tests.triton.models import DATATYPES

library, address = sys.argv[1:]
triton: Any = importlib.import_module(f"tritonclient.{library}")
over_grpc = library.startswith("grpc")
AS_JSON = {"as_json": True} if over_grpc else {}
NUMBERS = np.arange(32, dtype=np.int32).reshape(2, 16)


def tensor(name: str, array: NDArray[Any], datatype: str) -> Any:
    one = triton.InferInput(name, list(array.shape), datatype)
    one.set_data_from_numpy(array)
    return one


def simple(first: NDArray[Any] = NUMBERS) -> list[Any]:
    return [tensor("INPUT0", first, "INT32"), tensor("INPUT1", np.ones_like(first), "INT32")]


async def infer(client: Any) -> dict[str, Any]:
    values = tensor("values", np.array([[3, 1, 2, 5, 4]], np.float32), "FP32")
    asked = triton.InferRequestedOutput("scores", class_count=3)
    best = await done(client.infer("labelled", [values], outputs=[asked]))
    options = {"request_id": "r-1", "parameters": {"a": 1, "b": "x", "c": True}}
    result = await done(client.infer("simple", simple(), **options))
    texts = np.array([["h\u00e9".encode(), b""]], np.object_)
    strings = await done(client.infer("strings", [tensor("text", texts, "BYTES")]))
    head = result.get_response(**AS_JSON)
    versions = [
        await done(client.infer("versions", [number], model_version=version))
        for number in [tensor("number", np.array([[5]], np.float32), "FP32")]
        for version in ("1", "3", "")
    ]
    return {
        "classes": best.as_numpy("scores").tolist()[0],
        "sums": result.as_numpy("OUTPUT0").tolist(),
        "differences": result.as_numpy("OUTPUT1").tolist(),
        "head": [head["id"], head["model_name"], head["model_version"]],
        "strings": strings.as_numpy("text_OUT").tolist(),
        "versions": [answer.as_numpy("sum").tolist() for answer in versions],
        "datatypes": await datatypes(client),
        "refused": await refusals(client),
    }


async def datatypes(client: Any) -> dict[str, Any]:
    arrays = {
        name: np.array([[1, 0]]).astype(name.lower().replace("fp", "float")) for name in DATATYPES
    }
    inputs = [tensor(name, array, name) for name, array in arrays.items()]
    result = await done(client.infer("types", inputs))
    answers = {name: result.as_numpy(f"{name}_OUT") for name in DATATYPES}
    return {name: [str(array.dtype), array.tolist()] for name, array in answers.items()}


async def refusals(client: Any) -> list[list[str]]:
    wide, wrong = np.zeros((1, 17), np.int32), np.zeros((1, 16), np.float32)
    wide_inputs = [tensor("INPUT0", wide, "INT32"), tensor("INPUT1", wide[:, 1:], "INT32")]
    calls: list[Callable[[], Any]] = [
        lambda: client.infer("nobody", simple()),
        lambda: client.infer("versions", simple(), model_version="2"),
        lambda: client.infer("simple", simple()[:1]),
        lambda: client.infer("simple", wide_inputs),
        lambda: client.infer("simple", [tensor("INPUT0", wrong, "FP32"), wide_inputs[1]]),
        lambda: client.infer("simple", [*simple()[:1], tensor("INPUT9", NUMBERS, "INT32")]),
        lambda: client.infer("simple", simple(), outputs=[triton.InferRequestedOutput("OUTPUT9")]),
        lambda: client.get_model_metadata("nobody"),
        lambda: client.get_model_config("nobody"),
        lambda: client.get_trace_settings("nobody"),
    ]
    return [await refused(make) for make in calls]


async def stream(client: Any) -> dict[str, Any]:
    """A stream of good and bad requests, which gRPC alone has."""
    if not over_grpc:
        return {}
    asked: list[dict[str, Any]] = [
        {"model_name": "nobody" if number % 4 == 2 else "simple", "request_id": str(number)}
        | {"inputs": simple(np.full((1, 16), number, np.int32))}
        for number in range(12)
    ]
    answers = await stream_answers(client, asked)
    found = [
        error.message() if error else str(result.as_numpy("OUTPUT0")[0, 0])
        for result, error in answers
    ]
    return {"stream": sorted(found)}


async def repository(client: Any) -> dict[str, Any]:
    """Unload and load `labelled`, waiting until its state has changed."""

    async def state() -> str:
        index = await done(client.get_model_repository_index(**AS_JSON))
        rows = index["models"] if over_grpc else index
        return str(next(row.get("state") for row in rows if row["name"] == "labelled"))

    states = [await state()]
    await done(client.unload_model("labelled"))
    while (now := await state()) == "UNLOADING":  # noqa: ASYNC110  # of another process
        await asyncio.sleep(0.05)
    states.append(now)
    gone = await refused(lambda: client.get_model_metadata("labelled"))
    ready = await done(client.is_model_ready("labelled"))
    await done(client.load_model("labelled"))
    states.append(await state())
    return {"states": states, "gone": gone, "ready": ready}


async def statistics(client: Any) -> dict[str, Any]:
    """The counts of a model that nothing else asks."""
    before = await _counts(client)
    inputs = {
        size: [tensor(f"INPUT{index}", np.ones((size, 16), np.int32), "INT32") for index in (0, 1)]
        for size in (1, 2, 4)
    }
    for size in (1, 2, 4, 4):
        await done(client.infer("counted", inputs[size]))
    await refused(lambda: client.infer("counted", inputs[1][:1]))
    wanted, deadline = before["stats success"] + 4, time.monotonic() + 30
    after = await _counts(client)
    # tritonserver counts a request some time after it has answered it.
    while after["stats success"] < wanted and time.monotonic() < deadline:
        after = await _counts(client)
    return {name: count - before[name] for name, count in after.items()}


async def _counts(client: Any) -> dict[str, int]:
    answer = await done(client.get_inference_statistics("counted", **AS_JSON))
    row = answer["model_stats"][0]
    stages = row["inference_stats"].items()
    counts = {f"stats {name}": int(duration.get("count", 0)) for name, duration in stages}
    for batch in row.get("batch_stats", []):
        counts[f"batch {batch['batch_size']}"] = int(batch["compute_infer"]["count"])
    for name in ("inference_count", "execution_count"):
        counts[name] = int(row.get(name, 0))
    return {**dict.fromkeys(("batch 1", "batch 2", "batch 4"), 0), **counts}


async def shared_memory(client: Any) -> dict[str, Any]:
    """Inputs and an output of `simple` in a region of system shared memory."""
    key, size = f"/aperture-{os.getpid()}", NUMBERS.nbytes
    region = shm.create_shared_memory_region("region", key, 2 * size)
    try:
        shm.set_shared_memory_region(region, [NUMBERS])
        await done(client.register_system_shared_memory("region", key, 2 * size))
        again = await refused(lambda: client.register_system_shared_memory("region", key, 2 * size))
        status = await done(client.get_system_shared_memory_status(**AS_JSON))
        given = triton.InferInput("INPUT0", list(NUMBERS.shape), "INT32")
        given.set_shared_memory("region", size)
        asked = triton.InferRequestedOutput("OUTPUT0")
        asked.set_shared_memory("region", size, offset=size)
        inputs = [given, simple()[1]]
        result = await done(client.infer("simple", inputs, outputs=[asked]))
        output = result.get_response(**AS_JSON)["outputs"][0]
        sums = shm.get_contents_as_numpy(region, np.int32, list(NUMBERS.shape), offset=size)
        answer = sums.tolist()
        beyond = triton.InferInput("INPUT0", list(NUMBERS.shape), "INT32")
        beyond.set_shared_memory("region", size, offset=2 * size)
        outside = await refused(lambda: client.infer("simple", [beyond, simple()[1]]))
        await done(client.unregister_system_shared_memory("region"))
        left = await done(client.get_system_shared_memory_status(**AS_JSON))
    finally:
        shm.destroy_shared_memory_region(region)
    rows = list(status["regions"].values()) if over_grpc else status
    return {
        "status": [rows[0]["name"], rows[0]["key"] == key, int(rows[0]["byte_size"])],
        "again": again,
        "answer": answer,
        "output": [output["name"], output["datatype"], [int(dim) for dim in output["shape"]]],
        "outside": outside,
        "left": not (left.get("regions") if over_grpc else left),
    }


async def main() -> None:
    client = triton.InferenceServerClient(address)
    parts = (infer, stream, repository, statistics, shared_memory)
    answers = {part.__name__: await part(client) for part in parts}
    await done(client.close())
    print(json.dumps(answers, default=lambda value: value.decode()))


if __name__ == "__main__":
    asyncio.run(main())
