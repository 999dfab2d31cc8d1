"""Media types of answers, as tasks render them and protocols negotiate them."""

from typing import Final

JSON: Final = "application/json"
JSON_LINES: Final = "application/jsonlines"
PNG: Final = "image/png"
RECORDS: Final = ("application/x-recordio-protobuf", "application/x-protobuf")
"""Two names for one: RecordIO frames, each of a protobuf message `aialgs.data.Record`."""
