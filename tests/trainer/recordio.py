"""RecordIO frames and image records, written by the formats' descriptions: DMLC's recordio.h and MXNet's
image_recordio.h."""

import struct
from collections.abc import Sequence

MAGIC = bytes.fromhex("0a23d7ce")


def frame(content: bytes) -> bytes:
    """A record: cut, without the magic, wherever that stands at a multiple of 4 bytes."""
    parts, start = [], 0
    for at in range(0, len(content) - 3, 4):
        if content[at : at + 4] == MAGIC:
            parts.append(content[start:at])
            start = at + 4
    parts.append(content[start:])
    flags = [0] if len(parts) == 1 else [1, *[2] * (len(parts) - 2), 3]
    return b"".join(
        MAGIC + struct.pack("<I", flag << 29 | len(part)) + part + bytes(-len(part) % 4)
        for flag, part in zip(flags, parts, strict=True)
    )


def image_record(labels: Sequence[float], picture: bytes) -> bytes:
    """A record of one label in MXNet's header, or of several behind it."""
    if len(labels) == 1:
        return frame(struct.pack("<IfQQ", 0, labels[0], 0, 0) + picture)
    head = struct.pack(f"<IfQQ{len(labels)}f", len(labels), 0, 0, 0, *labels)
    return frame(head + picture)
