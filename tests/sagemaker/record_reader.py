"""SageMaker's own description of a record, on frames as its format's page describes them.

    .venv-sagemaker/bin/python tests/sagemaker/record_reader.py < body

Prints what SageMaker's notebook for segmentation takes from a body: shape, and values as base64 of
float32. The SDK's package as a whole needs gigabytes of others; its record_pb2.py needs protobuf.
"""

import base64
import importlib.util
import json
import struct
import sys
from pathlib import Path
from typing import Any

MAGIC = 0xCED7230A


def main() -> None:
    record = record_type()()
    (frame,) = frames(sys.stdin.buffer.read())
    record.ParseFromString(frame)
    values = list(record.features["target"].float32_tensor.values)
    answer = {
        "features": sorted(record.features),
        "shape": list(record.features["shape"].int32_tensor.values),
        "values": base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode(),
    }
    print(json.dumps(answer))


def record_type() -> Any:
    """The message aialgs.data.Record."""
    package = importlib.util.find_spec("sagemaker")
    assert package is not None
    assert package.submodule_search_locations is not None
    path = Path(package.submodule_search_locations[0]) / "amazon" / "record_pb2.py"
    spec = importlib.util.spec_from_file_location("record_pb2", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Record


def frames(data: bytes) -> list[bytes]:
    """The records of a RecordIO file, none of which may be split or followed by anything."""
    found, at = [], 0
    while at < len(data):
        magic, length = struct.unpack_from("<II", data, at)
        assert magic == MAGIC
        assert length < 1 << 29  # the upper bits would say that it is a part
        found.append(data[at + 8 : at + 8 + length])
        at += 8 + length + -length % 4
    assert at == len(data)
    return found


if __name__ == "__main__":
    main()
