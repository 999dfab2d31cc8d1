"""tritonclient in a process of its own: it cannot share one with KServe.

    python -m tests.clients.triton rest|grpc ADDRESS MODEL bytes|uint8 OUTPUT[,OUTPUT...] FILE...

Prints a JSON list of the outputs, each a list of one entry a picture.
"""

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import tritonclient.grpc
import tritonclient.http
from PIL import Image

from tests.tiny_models import SIZE


def main() -> None:
    protocol, address, model, form, outputs, *files = sys.argv[1:]
    module: ModuleType = {"rest": tritonclient.http, "grpc": tritonclient.grpc}[protocol]
    client = module.InferenceServerClient(address)
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(model)
    if form == "bytes":
        data = np.array([Path(file).read_bytes() for file in files], dtype=np.object_)
        tensor = module.InferInput("image", list(data.shape), "BYTES")
    else:
        pictures = [np.asarray(Image.open(file).resize((SIZE, SIZE))) for file in files]
        data = np.stack(pictures)
        tensor = module.InferInput("image", list(data.shape), "UINT8")
    tensor.set_data_from_numpy(data)
    result = client.infer(model, [tensor], request_id="r-1")
    print(json.dumps([result.as_numpy(name).tolist() for name in outputs.split(",")]))


if __name__ == "__main__":
    main()
