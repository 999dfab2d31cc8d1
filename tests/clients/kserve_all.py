"""Every call of KServe's REST and gRPC clients, in a process of its own.

    python -m tests.clients.kserve_all URL GRPC_ADDRESS MODEL FILE...

The files are pictures of the model's size. Prints what the calls answered as one JSON object.
"""

import asyncio
import base64
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

arguments = sys.argv[1:]
sys.argv[1:] = []  # KServe parses argv when it is imported

import grpc  # noqa: E402
import httpx  # noqa: E402
import numpy as np  # noqa: E402
from kserve import (  # noqa: E402
    InferenceGRPCClient,
    InferenceRESTClient,
    InferInput,
    InferRequest,
    RESTConfig,
)
from kserve.protocol.infer_type import RequestedOutput  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from PIL import Image  # noqa: E402

url, address, model, *paths = arguments
FILES: Sequence[bytes] = [Path(path).read_bytes() for path in paths]


def pictures(*, binary: bool) -> Any:
    """The decoded pictures as a tensor."""
    pixels = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])
    tensor = InferInput(name="image", shape=list(pixels.shape), datatype="UINT8")
    tensor.set_data_from_numpy(pixels, binary_data=binary)
    return tensor


def request(tensor: Any, **more: Any) -> Any:
    return InferRequest(model_name=model, infer_inputs=[tensor], request_id="r-1", **more)


def told(answer: Any) -> list[Any]:
    """The id, the model and the numbers of an answer; KServe's client loses the version."""
    scores: NDArray[Any] = answer.outputs[0].as_numpy()
    return [answer.id, answer.model_name, scores.tolist()]


async def refused(make: Callable[[], Awaitable[Any]]) -> str:
    """The status of the error that a call must end with."""
    try:
        await make()
    except httpx.HTTPStatusError as err:
        return str(err.response.status_code)
    except grpc.RpcError as err:
        return str(err.code())
    raise AssertionError("no error")


async def v1() -> dict[str, Any]:
    client = InferenceRESTClient(RESTConfig(protocol="v1"))
    encoded = [base64.b64encode(file).decode() for file in FILES]
    body = {"instances": [{"data": text} for text in encoded]}
    return {
        "ready": await client.is_model_ready(url, model),
        "predictions": (await client.infer(url, body, model_name=model))["predictions"],
        "refused": [
            await refused(lambda: client.infer(url, body, model_name="nobody")),
            await refused(lambda: client.infer(url, {}, model_name=model)),
            await refused(lambda: client.explain(url, model_name=model, data=body)),
        ],
    }


async def v2() -> dict[str, Any]:
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    encoded = [base64.b64encode(file).decode() for file in FILES]
    texts = InferInput(name="image", shape=[len(encoded)], datatype="BYTES", data=encoded)
    outputs = [RequestedOutput("scores", {"binary_data": True})]
    answers = [
        await client.infer(url, request(texts), model_name=model),
        await client.infer(url, request(pictures(binary=False)), model_name=model),
        await client.infer(url, request(pictures(binary=True)), model_name=model),
        await client.infer(
            url, request(pictures(binary=True), request_outputs=outputs), model_name=model
        ),
    ]
    return {
        "live": await client.is_server_live(url),
        "ready": await client.is_server_ready(url),
        "model_ready": await client.is_model_ready(url, model),
        "answers": [told(answer) for answer in answers],
        "refused": [await refused(lambda: client.infer(url, request(texts), model_name="nobody"))],
    }


async def v2_grpc() -> dict[str, Any]:
    unknown = InferRequest(model_name="nobody", infer_inputs=[pictures(binary=True)])
    files = InferInput(name="image", shape=[len(FILES)], datatype="BYTES")
    files.set_data_from_numpy(np.array(FILES, np.object_))
    async with InferenceGRPCClient(address) as client:
        return {
            "live": await client.is_server_live(),
            "ready": await client.is_server_ready(),
            "model_ready": await client.is_model_ready(model),
            "answers": [
                told(await client.infer(request(files))),
                told(await client.infer(request(pictures(binary=True)))),
                told(await client.infer(request(pictures(binary=False)))),
            ],
            "refused": [await refused(lambda: client.infer(unknown))],
        }


async def main() -> None:
    print(json.dumps({"v1": await v1(), "v2": await v2(), "grpc": await v2_grpc()}))


if __name__ == "__main__":
    asyncio.run(main())
