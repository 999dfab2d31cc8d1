"""How this server's answers over gRPC differ from Triton's on purpose; see differences.py.

Statuses are gRPC's numbers.
"""

import base64
from typing import Final

from server.bytes_elements import split_elements
from tests.triton.compare import Answer, same
from tests.triton.difference import Difference, answered, of
from tests.triton.differences import (
    VERSION_0,
    configuration,
    server_metadata,
    ties_in_order,
    without_request_id,
)

_OK: Final = 0
_INVALID: Final = 3
_NOT_FOUND: Final = 5
_INTERNAL: Final = 13
_METHODS: Final = ("ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics", "ModelInfer")


def _trace_mode(_name: str, theirs: Answer, ours: Answer) -> bool:
    if (
        theirs.status != _OK
        or ours.status != _OK
        or "trace_mode" not in theirs.body.get("settings", {})
    ):
        return False
    settings = [dict(answer.body["settings"]) for answer in (theirs, ours)]
    modes = [one.pop("trace_mode")["value"] for one in settings]
    return modes == [["triton"], ["opentelemetry"]] and same(*settings)


def _raw_classes(answer: Answer) -> list[str]:
    """The classes of the only output."""
    (output,) = answer.body["outputs"].values()
    raw = memoryview(base64.b64decode(output["raw"]))
    elements = split_elements("", int(output["shape"][-1]), raw, "")
    return [element.decode() for element in elements]


def _unknown(name: str, theirs: Answer, ours: Answer) -> bool:
    statuses = (theirs.status, ours.status) == (_INVALID, _NOT_FOUND)
    return statuses and name.startswith("ModelStatistics") and "unknown model" in ours.error


GRPC_DIFFERENCES: Final = (
    Difference(
        "A request that is malformed is INVALID_ARGUMENT",
        "Triton says INTERNAL of some, which alarms and retries take for the server's own failure.",
        lambda _name, theirs, ours: (
            (theirs.status, ours.status) == (_INTERNAL, _INVALID) and ours.error != ""
        ),
    ),
    Difference(
        "Loading a model that is not in the repository is NOT_FOUND",
        "Triton says INTERNAL, which alarms and retries take for the server's own failure.",
        lambda name, theirs, ours: (
            name == "load nobody"
            and (theirs.status, ours.status) == (_INTERNAL, _NOT_FOUND)
            and theirs.error == ours.error
        ),
    ),
    Difference(
        "Statistics of a model or version that is not there are NOT_FOUND",
        "As everything else that is asked of it.",
        _unknown,
    ),
    Difference(
        "The server's own version, and no extension that it lacks",
        "There are no sequence models, and no memory of a GPU is shared.",
        lambda name, theirs, ours: name == "ServerMetadata" and server_metadata(theirs, ours),
    ),
    Difference(
        "A configuration shows what the file says and, as parameters `execution_*`, what was chosen",
        "Triton adds its defaults of `optimization`, `instance_group` and `preferred_batch_size`, "
        "which do not tell how this server runs the model.",
        lambda name, theirs, ours: name.startswith("ModelConfig") and configuration(theirs, ours),
    ),
    Difference(
        "A batch larger than `max_batch_size` is split",
        "Triton refuses it; a client need not know the server's limit.",
        answered("batch over the maximum", triton=_INVALID, ours=_OK),
    ),
    Difference(
        "`classification` 0 asks for no classification",
        "So says Triton's REST; its gRPC refuses the number that its text allows.",
        answered("classification {'int64_param': 0}", triton=_INVALID, ours=_OK),
    ),
    Difference(
        "More raw contents than inputs are refused",
        "Triton passes over them.",
        of("raw contents, one too many", triton=_OK, ours=_INVALID),
    ),
    Difference(
        "Settings of unknown names are refused",
        "Triton ignores them, and a mistyped setting passes for one that was made.",
        of("log log_what", "trace what", triton=_OK, ours=_INVALID),
    ),
    Difference(
        "A number of traces that is none, and `trace_rate` 0, are refused",
        "Triton reads `1_000` as 1, and traces nothing at a rate of 0, as `trace_level` OFF does.",
        of("trace trace_rate ['0']", "trace trace_rate ['1_000']", triton=_OK, ours=_INVALID),
    ),
    VERSION_0,
    Difference(
        "The classes of an FP16 output are answered",
        "They are scores as any other; Triton refuses them.",
        answered("classes of FP16", triton=_INVALID, ours=_OK),
    ),
    Difference(
        "Classes of equal scores are in the order of their indices",
        "So they are in Triton where they are few; of many, its sort keeps no order.",
        lambda name, theirs, ours: (
            name == "classes of equal scores" and ties_in_order(*map(_raw_classes, (theirs, ours)))
        ),
    ),
    Difference(
        "Traces are OpenTelemetry's, and need no file",
        "`trace_mode` is opentelemetry, where Triton's default writes files of its own.",
        _trace_mode,
    ),
    Difference(
        "Texts of refused parameters and settings are those of REST",
        "They say what was got and what is expected.",
        of(
            *("classification", "parameter ", "log ", "trace ", "load ", "unload "),
            triton=_INVALID,
            ours=_INVALID,
        ),
    ),
    Difference(
        "Data and shape are compared input by input, before shapes are compared with the model's",
        "Triton does the latter first, and names the input that comes first in a hash map.",
        of("shape ", "raw contents too", "datatype ", triton=_INVALID, ours=_INVALID),
    ),
    Difference(
        "Of several contents that do not fit, the first is named",
        "Triton checks the datatypes of all inputs before it reads their numbers.",
        of("a number that INT8", "FP16 in typed", triton=_INVALID, ours=_INVALID),
    ),
    Difference(
        "Contents of another number or type are named by field and count",
        "Triton counts their bytes, and what comes second it takes for data sent twice.",
        of("15 typed", "17 typed", "0 typed", "numbers of", triton=_INVALID, ours=_INVALID),
    ),
    Difference(
        "A text about a tensor's bytes does not begin with `[request id: ...]`",
        "The bytes are read before the rest of the request is.",
        without_request_id,
    ),
    Difference(
        "A version that is no number has one text",
        "Triton has one for what is no number and another for a negative one.",
        of(
            *(f"{method} versions {text}" for method in _METHODS for text in ("x", "-1")),
            triton=_INVALID,
            ours=_INVALID,
        ),
    ),
    Difference(
        "A version is digits alone",
        "Triton reads `+1`, ` 1` and `1a` as 1.",
        of(
            *(f"{method} versions {text}" for method in _METHODS for text in ("+1", " 1", "1a")),
            triton=_OK,
            ours=_INVALID,
        ),
    ),
    Difference(
        "A whole number may be `int64_param` or `uint64_param`",
        "Triton takes one of them, not always the same.",
        answered(
            "parameter timeout {'uint64_param': 1}",
            "parameter a {'uint64_param': 1}",
            triton=_INVALID,
            ours=_OK,
        ),
    ),
    Difference(
        "A negative `timeout` is refused",
        "So says Triton's REST; its gRPC takes it.",
        of("parameter timeout {'int64_param': -1}", triton=_OK, ours=_INVALID),
    ),
)
