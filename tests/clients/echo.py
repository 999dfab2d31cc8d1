"""tritonclient asks models that hand their inputs through, by nothing but their metadata.

    python -m tests.clients.echo rest|grpc ADDRESS MODEL...

Sends random tensors of every input's datatype and shape, with -1 as 3, and prints as JSON, for
each model, whether each output `yNAME` is its input `xNAME`.
"""

import json
import sys
from types import ModuleType
from typing import Any

import ml_dtypes
import numpy as np
import tritonclient.grpc
import tritonclient.http
from numpy.typing import NDArray
from tritonclient.utils import triton_to_np_dtype

STRINGS = np.array([b"", "é".encode(), b"b'c'", b'"', b"x" * 300, b"\n"], dtype=np.object_)


def random_tensor(datatype: str, shape: list[int]) -> NDArray[Any]:
    rng = np.random.default_rng(len(datatype))
    if datatype == "BYTES":
        return rng.choice(STRINGS, shape)
    if datatype == "BF16":
        return rng.integers(0, 0x7F00, shape).astype(np.uint16).view(ml_dtypes.bfloat16)
    return rng.integers(0, 2, shape).astype(triton_to_np_dtype(datatype))


def main() -> None:
    protocol, address, *models = sys.argv[1:]
    module: ModuleType = {"rest": tritonclient.http, "grpc": tritonclient.grpc}[protocol]
    client = module.InferenceServerClient(address)
    echoed = {}
    for model in models:
        options = {} if protocol == "rest" else {"as_json": True}
        metadata = client.get_model_metadata(model, **options)
        tensors, sent = [], {}
        for spec in metadata["inputs"]:
            shape = [3 if int(size) < 0 else int(size) for size in spec["shape"]]
            sent[spec["name"]] = random_tensor(spec["datatype"], shape)
            tensor = module.InferInput(spec["name"], shape, spec["datatype"])
            tensor.set_data_from_numpy(sent[spec["name"]])
            tensors.append(tensor)
        result = client.infer(model, tensors)
        echoed[model] = {
            name: bool(np.array_equal(result.as_numpy(f"y{name[1:]}"), array))
            for name, array in sent.items()
        }
    print(json.dumps(echoed))


if __name__ == "__main__":
    main()
