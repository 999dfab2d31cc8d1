"""Every call of one of tritonclient's four libraries that a server without a GPU can answer.

    python -m tests.clients.triton_all http|http.aio|grpc|grpc.aio ADDRESS LATE_MODEL PICTURE

The server has the models `colour` (pictures), `pass` (FP32 [2]) and `text` (BYTES [1]), and may
load LATE_MODEL; the variable MODEL_FILE names the graph of `pass`. Prints what the calls answered as one JSON object, the same for every library.
"""

import asyncio
import importlib
import json
import os
import sys
from pathlib import Path
from queue import Queue
from typing import Any

import numpy as np
import tritonclient.utils.shared_memory as shm
from numpy.typing import NDArray

from tests.clients.triton_library import done, refused, stream_answers

library, address, late_model, picture = sys.argv[1:]
triton: Any = importlib.import_module(f"tritonclient.{library}")
over_grpc = library.startswith("grpc")
AS_JSON = {"as_json": True} if over_grpc else {}
GRAPH = Path(os.environ["MODEL_FILE"]).read_bytes()
NUMBERS = np.array([[0.5, -2]], np.float32)


def tensor(name: str, array: NDArray[Any], datatype: str) -> Any:
    one = triton.InferInput(name, list(array.shape), datatype)
    one.set_data_from_numpy(array)
    return one


def pictures(count: int = 1) -> list[Any]:
    return [tensor("image", np.array([Path(picture).read_bytes()] * count, np.object_), "BYTES")]


def numbers(array: NDArray[Any] = NUMBERS) -> list[Any]:
    return [tensor("x", array, "FP32")]


async def health(client: Any) -> dict[str, Any]:
    return {
        "live": await done(client.is_server_live()),
        "ready": await done(client.is_server_ready()),
        "model_ready": await done(client.is_model_ready("colour")),
        "version_ready": await done(client.is_model_ready("colour", "1")),
        "unknown_ready": await done(client.is_model_ready("nope")),
        "server": (await done(client.get_server_metadata(**AS_JSON)))["name"],
        "model": await done(client.get_model_metadata("pass", "1", **AS_JSON)),
        "unknown": (await refused(lambda: client.get_model_metadata("nope")))[1],
        "unknown_version": (await refused(lambda: client.get_model_metadata("pass", "9")))[1],
    }


async def config(client: Any) -> dict[str, Any]:
    answer = await done(client.get_model_config("pass", "1", **AS_JSON))
    answer = answer["config"] if over_grpc else answer
    return {
        "name": answer["name"],
        "max_batch_size": answer["max_batch_size"],
        "input": [answer["input"][0]["name"], answer["input"][0]["data_type"]],
    }


async def infer(client: Any) -> dict[str, Any]:
    asked = triton.InferRequestedOutput("scores", class_count=2)
    best = await done(client.infer("colour", pictures(2), outputs=[asked]))
    scores = await done(client.infer("colour", pictures(), model_version="1"))
    options = {"request_id": "r-1", "priority": 1, "timeout": 10_000_000}
    result = await done(
        client.infer("pass", numbers(), parameters={"a": 1, "b": "x", "c": True}, **options)
    )
    response = result.get_response(**AS_JSON)
    text = np.array([["h\u00e9".encode()], [b""]], np.object_)
    strings = await done(client.infer("text", [tensor("x", text, "BYTES")]))
    return {
        "classes": [[one.decode() for one in row] for row in best.as_numpy("scores").tolist()],
        "scores": scores.as_numpy("scores").tolist(),
        "numbers": result.as_numpy("y").tolist(),
        "head": [response["id"], response["model_name"], response["model_version"]],
        "strings": [one.decode() for one in strings.as_numpy("y").reshape(-1).tolist()],
        "many": await many(client),
        **await compressed(client),
        "refused": [
            await refused(lambda: client.infer("nope", numbers())),
            await refused(lambda: client.infer("pass", [])),
            await refused(lambda: client.infer("pass", numbers(np.zeros((1, 3), np.float32)))),
            await refused(lambda: client.infer("pass", [tensor("z", NUMBERS, "FP32")])),
            await refused(lambda: client.infer("text", numbers())),
        ],
    }


async def compressed(client: Any) -> dict[str, Any]:
    """Requests, and where a client can ask for it answers, as gzip and as deflate."""
    large = np.linspace(0, 1, 20_000, dtype=np.float32).reshape(-1, 2)
    answers = []
    for name in ("gzip", "deflate"):
        arguments = {"compression_algorithm": name}
        if not over_grpc:
            arguments = {f"{side}_compression_algorithm": name for side in ("request", "response")}
        answers.append(await done(client.infer("pass", numbers(large), **arguments)))
    return {"compressed": [bool((one.as_numpy("y") == large).all()) for one in answers]}


async def many(client: Any) -> list[float]:
    """Many requests at once, the way that the library has for that."""
    inputs = [numbers(np.full((1, 2), number, np.float32)) for number in range(20)]
    if library == "http":
        jobs = [client.async_infer("pass", one) for one in inputs]
        results = [job.get_result() for job in jobs]
    elif library == "grpc":
        answered: Queue[Any] = Queue()
        for one in inputs:
            client.async_infer("pass", one, lambda result, error: answered.put(error or result))
        results = [answered.get(timeout=30) for _ in inputs]
        results.sort(key=lambda result: float(result.as_numpy("y")[0, 0]))
    else:
        results = await asyncio.gather(*(client.infer("pass", one) for one in inputs))
    return [float(result.as_numpy("y")[0, 0]) for result in results]


async def json_form(client: Any) -> dict[str, Any]:
    """The forms that HTTP alone has: JSON tensors, and bodies made and read by hand."""
    if over_grpc:
        return {}
    flat = triton.InferInput("x", [1, 2], "FP32")
    flat.set_data_from_numpy(NUMBERS, binary_data=False)
    asked = triton.InferRequestedOutput("y", binary_data=False)
    result = await done(client.infer("pass", [flat], outputs=[asked]))
    body, header_length = triton.InferenceServerClient.generate_request_body(numbers())
    assert header_length
    return {
        "json": [result.as_numpy("y").tolist(), result.get_output("y")["data"]],
        "body": body[:header_length].decode(),
    }


async def stream(client: Any) -> dict[str, Any]:
    """A stream of good and bad requests, which gRPC alone has."""
    if not over_grpc:
        return {}
    asked = [
        {"model_name": "nope" if number % 5 == 2 else "pass", "request_id": str(number)}
        | {"inputs": numbers(np.full((1, 2), number, np.float32))}
        for number in range(20)
    ]
    answers = await stream_answers(client, asked)
    return {
        "stream": [
            error.message() if error else float(result.as_numpy("y")[0, 0])
            for result, error in answers
        ],
        "final": answers[0][0].get_response().parameters["triton_final_response"].bool_param,
    }


async def repository(client: Any) -> dict[str, Any]:
    def rows(index: Any) -> dict[str, str]:
        models = index["models"] if over_grpc else index
        return {row["name"]: row.get("state", "") for row in models}

    before = rows(await done(client.get_model_repository_index(**AS_JSON)))
    await done(client.load_model(late_model))
    loaded = rows(await done(client.get_model_repository_index(**AS_JSON)))
    override = json.dumps({"backend": "onnxruntime", "max_batch_size": 2})
    await done(client.load_model(late_model, config=override))
    changed = await done(client.get_model_config(late_model, **AS_JSON))
    await done(client.load_model("sent", config=override, files={"file:7/model.onnx": GRAPH}))
    sent = await done(client.get_model_metadata("sent", **AS_JSON))
    await done(client.unload_model("sent"))
    await done(client.unload_model(late_model, unload_dependents=True))
    return {
        "index": [before[late_model], loaded[late_model]],
        "override": (changed["config"] if over_grpc else changed)["max_batch_size"],
        "sent": sent["versions"],
        "unloaded": await refused(lambda: client.infer("sent", numbers())),
        "unknown": (await refused(lambda: client.load_model("nope")))[1],
    }


async def statistics(client: Any) -> dict[str, Any]:
    every = await done(client.get_inference_statistics(**AS_JSON))
    one = await done(client.get_inference_statistics("pass", "1", **AS_JSON))
    row = one["model_stats"][0]
    return {
        "models": sorted({entry["name"] for entry in every["model_stats"]}),
        "row": [row["name"], row["version"], int(row["inference_count"]) > 0],
        "success": int(row["inference_stats"]["success"]["count"]) > 0,
        "unknown": (await refused(lambda: client.get_inference_statistics("nope")))[1],
    }


async def settings(client: Any) -> dict[str, Any]:
    def plain(answer: Any) -> Any:
        if not over_grpc:
            return answer
        values = answer["settings"].items()
        return {name: value.get("value", list(value.values())) for name, value in values}

    await done(client.update_log_settings({"log_verbose_level": 1, "log_format": "ISO8601"}))
    logs = plain(await done(client.get_log_settings(**AS_JSON)))
    no_file = await refused(lambda: client.update_log_settings({"log_file": "/tmp/x"}))  # noqa: S108
    await done(client.update_log_settings({"log_verbose_level": 0, "log_format": "default"}))
    new = {"trace_level": ["TIMESTAMPS"], "trace_rate": "7"}
    await done(client.update_trace_settings("pass", new))
    traces = plain(await done(client.get_trace_settings("pass", **AS_JSON)))
    others = plain(await done(client.get_trace_settings(**AS_JSON)))
    await done(client.update_trace_settings("pass", dict.fromkeys(new)))
    back = plain(await done(client.get_trace_settings("pass", **AS_JSON)))

    def flat(value: Any) -> Any:
        return value[0] if isinstance(value, list) else value

    return {
        "logs": [flat(logs[name]) for name in ("log_verbose_level", "log_format", "log_info")],
        "log_file": no_file[1],
        "traces": [
            [flat(one["trace_level"]), flat(one["trace_rate"])] for one in (traces, others, back)
        ],
    }


async def shared_memory(client: Any) -> dict[str, Any]:
    key = f"/aperture-{os.getpid()}"
    size = NUMBERS.nbytes
    region = shm.create_shared_memory_region("region", key, 2 * size)
    try:
        await done(client.unregister_system_shared_memory())
        await done(client.unregister_cuda_shared_memory())
        shm.set_shared_memory_region(region, [NUMBERS])
        await done(client.register_system_shared_memory("region", key, 2 * size))
        status = await done(client.get_system_shared_memory_status(**AS_JSON))
        given = triton.InferInput("x", [1, 2], "FP32")
        given.set_shared_memory("region", size)
        asked = triton.InferRequestedOutput("y")
        asked.set_shared_memory("region", size, offset=size)
        result = await done(client.infer("pass", [given], outputs=[asked]))
        answer = shm.get_contents_as_numpy(region, np.float32, [1, 2], offset=size).tolist()
        output = result.get_response(**AS_JSON)["outputs"][0]
        cuda = await done(client.get_cuda_shared_memory_status(**AS_JSON))
        no_cuda = await refused(lambda: client.register_cuda_shared_memory("c", b"aGFuZGxl", 0, 8))
        await done(client.unregister_system_shared_memory("region"))
        left = await done(client.get_system_shared_memory_status(**AS_JSON))
    finally:
        shm.destroy_shared_memory_region(region)
    rows = list(status["regions"].values()) if over_grpc else status
    return {
        "status": [rows[0]["name"], rows[0]["key"] == key, int(rows[0]["byte_size"])],
        "answer": answer,
        "output": [output["name"], [int(dim) for dim in output["shape"]], "data" in output],
        "cuda": [not (cuda["regions"] if over_grpc and cuda else cuda), *no_cuda],
        "left": not (left.get("regions") if over_grpc else left),
    }


async def main() -> None:
    client = triton.InferenceServerClient(address)
    parts = (health, config, infer, json_form, stream, repository, statistics, settings)
    answers = {part.__name__: await part(client) for part in (*parts, shared_memory)}
    await done(client.close())
    print(json.dumps(answers))


if __name__ == "__main__":
    asyncio.run(main())
