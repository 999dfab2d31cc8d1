"""KServe's own REST client in a process of its own.

    python -m tests.clients.kserve_rest v1|v2 URL MODEL FILE...

Prints its answer as JSON: V1's predictions, or V2's scores, a list a picture.
"""

import asyncio
import base64
import json
import sys
from pathlib import Path

arguments = sys.argv[1:]
sys.argv[1:] = []  # KServe parses argv when it is imported

import numpy as np  # noqa: E402
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig  # noqa: E402


async def main(version: str, url: str, model: str, texts: list[str]) -> None:
    client = InferenceRESTClient(RESTConfig(protocol=version))
    if version == "v2":
        assert await client.is_server_ready(url)
        assert await client.is_server_live(url)
    assert await client.is_model_ready(url, model)
    if version == "v1":
        body = {"instances": [{"data": text} for text in texts]}
        answer = await client.infer(url, body, model_name=model)
        print(json.dumps(answer["predictions"]))
        return
    tensor = InferInput(name="image", shape=[len(texts)], datatype="BYTES", data=texts)
    request = InferRequest(model_name=model, infer_inputs=[tensor])
    answer = await client.infer(url, request, model_name=model)
    print(json.dumps(np.asarray(answer.outputs[0].as_numpy()).tolist()))


if __name__ == "__main__":
    encoded = [base64.b64encode(Path(file).read_bytes()).decode() for file in arguments[3:]]
    protocol, address, name = arguments[:3]
    asyncio.run(main(protocol, address, name, encoded))
