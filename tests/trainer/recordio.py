"""RecordIO frames, written by the format's description: DMLC's recordio.h."""

import struct

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
