"""How the headers of this server's answers over REST differ from Triton's; see differences.py."""

from typing import Final

from tests.triton.compare import Answer
from tests.triton.difference import Difference

_TEXT: Final = {"content-type": "text/plain"}
_JSON: Final = {"content-type": "application/json"}
_BINARY: Final = {"content-type": "application/octet-stream"}


def _binary_sizes(answer: Answer) -> list[int]:
    """The bytes of each binary output."""
    entries = [entry.get("parameters", {}) for entry in answer.body["outputs"].values()]
    return [entry["binary_data_size"] for entry in entries if "binary_data_size" in entry]


HEADER_DIFFERENCES: Final = (
    Difference(
        "An answer of less than 1 KiB is not compressed",
        "It would not be sent in fewer packets.",
        lambda _name, theirs, ours: (
            {**ours.headers, "content-encoding": theirs.headers["content-encoding"]}
            == theirs.headers
            and len(str(ours.body)) < 1024
        ),
    ),
    Difference(
        "An empty body has no Content-Type",
        "Triton calls it application/json, which it is not.",
        lambda _name, theirs, ours: (
            theirs.headers.keys() == {"content-type"} and ours.body == "" and not ours.headers
        ),
    ),
    Difference(
        "JSON is of Content-Type application/json",
        "Triton sends some of it as text/plain, errors among it.",
        lambda _name, theirs, ours: (
            (theirs.headers, ours.headers) == (_TEXT, _JSON) and not isinstance(ours.body, str)
        ),
    ),
    Difference(
        "An answer with a binary output is application/octet-stream, also where that has no bytes",
        "Triton calls it application/json where none has any.",
        lambda _name, theirs, ours: (
            (theirs.headers, ours.headers) == (_JSON, _BINARY)
            and not any(_binary_sizes(theirs))
            and _binary_sizes(ours) != []
        ),
    ),
)
"""Of headers, whatever the statuses and bodies are."""
