"""How this server's answers differ from Triton's on purpose, each with its reason.

docs/protocols.md has the same list. A difference is named by what holds of both answers, so that a
third answer, of either server, is a failure. What explains two bodies says nothing of their headers: those
are in header_differences.py.
"""

from collections.abc import Sequence
from typing import Any, Final

from tests.triton.compare import Answer, same
from tests.triton.difference import Difference, answered, of

_REQUEST_ID: Final = "[request id: <id_unknown>] "


def _says_more(_name: str, theirs: Answer, ours: Answer) -> bool:
    text = theirs.error
    goes_on = ours.error.startswith((text + ":", text + " "))
    return theirs.status == ours.status and text != "" and goes_on


def without_request_id(_name: str, theirs: Answer, ours: Answer) -> bool:
    """The same status and text, but for Triton's note of the request's id."""
    return theirs.status == ours.status and theirs.error == _REQUEST_ID + ours.error


def _client_error(_name: str, theirs: Answer, ours: Answer) -> bool:
    return theirs.status in (500, 503) and ours.status == 400 and ours.error != ""


def _health_body(name: str, theirs: Answer, ours: Answer) -> bool:
    key = "live" if name.endswith("live") else "ready"
    told = isinstance(ours.body, dict) and ours.body.get(key) is True
    return theirs.status == ours.status == 200 and theirs.body == "" and told


def _unknown(name: str, theirs: Answer, ours: Answer) -> bool:
    statuses = (theirs.status, ours.status) == (400, 404)
    asked = name.endswith(("ready", "stats", "statistics"))
    return statuses and asked and ours.error.startswith("Request for unknown model: '")


def server_metadata(theirs: Answer, ours: Answer) -> bool:
    """The same name and extensions, but for those that this server does not have."""
    left_out = {"sequence", "cuda_shared_memory"}
    extensions = set(theirs.body["extensions"]) - left_out
    return theirs.body["name"] == ours.body["name"] and extensions == set(ours.body["extensions"])


def configuration(theirs: Answer, ours: Answer) -> bool:
    """What the file says is the same; what each server adds is left out."""
    if theirs.error or ours.error:
        return False
    triton, own = dict(theirs.body), dict(ours.body)
    own["parameters"] = {
        key: value for key, value in own["parameters"].items() if not key.startswith("execution_")
    }
    del triton["optimization"], triton["instance_group"], own["instance_group"]
    triton["runtime"] = ""  # the reference's backend is written in Python
    for config in (triton, own):
        config.get("dynamic_batching", {}).pop("preferred_batch_size", None)
    return same(triton, own)


def without_version_0(name: str, theirs: Answer, ours: Answer) -> bool:
    """The same index or metadata but for a version 0, or its not being there."""
    if not name.startswith(("index", "version")):
        return False
    if theirs.status == ours.status:
        return same(_drop_0(theirs.body), ours.body)
    shown = isinstance(theirs.body, dict) and theirs.body.get("versions") == ["0"]
    return shown and "'wide' version 0 is not found" in ours.error


def _drop_0(body: Any) -> Any:
    if isinstance(body, list):
        return [_drop_0(one) for one in body if one != "0" and not _is_0(one)]
    return {key: _drop_0(value) for key, value in body.items()} if isinstance(body, dict) else body


def _is_0(row: Any) -> bool:
    return isinstance(row, dict) and row.get("version") == "0"


def classes(answer: Answer) -> list[str]:
    """The classes of the only output."""
    (output,) = answer.body["outputs"].values()
    return list(output["data"])


def ties_in_order(theirs: Sequence[str], ours: Sequence[str]) -> bool:
    """Whether both have the same classes, best first, and ours those of equal scores by index."""
    keys = [(-float(score), int(index)) for score, index in (one.split(":") for one in ours)]
    return sorted(theirs) == sorted(ours) and keys == sorted(keys)


def _trace_mode(name: str, theirs: Answer, ours: Answer) -> bool:
    if not name.startswith("trace") or theirs.status != 200 or ours.status != 200:
        return False
    modes = (theirs.body["trace_mode"], ours.body["trace_mode"])
    return modes == ("triton", "opentelemetry") and same(
        {**theirs.body, "trace_mode": ""}, {**ours.body, "trace_mode": ""}
    )


VERSION_0: Final = Difference(
    "A version's folder `0` is passed over",
    "Triton's manual says that names that begin with a zero are ignored; Triton serves it.",
    without_version_0,
)
"""Over both protocols."""

DIFFERENCES: Final = (
    Difference(
        "A request that is malformed is answered with 400",
        "Triton says 500, or 503, which alarms and retries take for the server's own failure.",
        _client_error,
    ),
    Difference(
        "Loading a model that is not in the repository is 404",
        "Triton says 500, which alarms and retries take for the server's own failure.",
        lambda name, theirs, ours: (
            name == "load an unknown model"
            and (theirs.status, ours.status) == (500, 404)
            and theirs.error == ours.error
        ),
    ),
    Difference(
        "An error's text goes on behind Triton's",
        "It says what was got and what is expected; what matches Triton's text still does.",
        _says_more,
    ),
    Difference(
        'Health and readiness have a body, `{"live": true}` or `{"ready": true}`',
        "The Open Inference Protocol asks for it, and KServe's client reads it.",
        _health_body,
    ),
    Difference(
        "A model or version that is not there is 404 on every route",
        "Triton says 400 of its readiness and its statistics.",
        _unknown,
    ),
    Difference(
        "A version in a URL that is no number is 400 and says so",
        "Triton's REST knows no such path; the text is that of its gRPC.",
        of("version x", "version -1", triton=404, ours=400),
    ),
    Difference(
        "A path with a slash too many at its end is led to the right one",
        "Triton says 404.",
        lambda name, theirs, ours: (
            (name, theirs.status, ours.status, ours.body) == ("GET /v2/", 404, 307, "")
        ),
    ),
    Difference(
        "The server's own version, and no extension that it lacks",
        "There are no sequence models, and no memory of a GPU is shared.",
        lambda name, theirs, ours: name == "GET /v2" and server_metadata(theirs, ours),
    ),
    Difference(
        "A configuration shows what the file says and, as parameters `execution_*`, what was chosen",
        "Triton adds its defaults of `optimization`, `instance_group` and `preferred_batch_size`, "
        "which do not tell how this server runs the model.",
        lambda name, theirs, ours: name.endswith("config") and configuration(theirs, ours),
    ),
    Difference(
        "A batch larger than `max_batch_size` is split",
        "Triton refuses it; a client need not know the server's limit.",
        lambda name, theirs, ours: (
            name == "batch over the maximum"
            and theirs.status == 400
            and ours.body["outputs"]["OUTPUT0"]["data"] == [2] * 144
        ),
    ),
    Difference(
        "A number that its datatype cannot hold, and lists of unequal lengths, are refused",
        "Triton takes them, and computes with other numbers.",
        of("data 9", "data 11", "pixels of 300", "numbers of 1e39", triton=200, ours=400),
    ),
    Difference(
        "NaN and Infinity are no JSON: they are refused, and are null in an answer",
        "The JSON standard has none; binary data carry them.",
        of("NaN", triton=200, ours=400),
    ),
    Difference(
        "`binary_data_output` holds for each requested output that does not say otherwise",
        "So says the binary data extension; Triton ignores it beside a list of outputs.",
        lambda name, theirs, ours: (
            name == "one output not binary"
            and isinstance(theirs.body["outputs"]["OUTPUT0"]["data"], list)
            and ours.body["outputs"]["OUTPUT0"]["parameters"] == {"binary_data_size": 64}
        ),
    ),
    Difference(
        "The raw body of a picture model is a picture file or the picture's pixels",
        "What is neither is refused as no picture.",
        of("raw body too short", triton=400, ours=400),
    ),
    Difference(
        "A body that is not in the encoding or of the length that its headers tell is refused as that",
        "Triton takes what it cannot read for a raw body.",
        of("header length x", "gzip that is none", "body ''", triton=400, ours=400),
    ),
    Difference(
        "Data and shape are compared input by input, and the input is named",
        "Triton counts the bytes of all inputs together, and names the input where they run out, or "
        "the first of a hash map's.",
        of("binary_data_size", "binary strings cut", "batches", "shape", triton=400, ours=400),
    ),
    Difference(
        "A text about a tensor's bytes does not begin with `[request id: ...]`",
        "The bytes are read before the rest of the request is.",
        without_request_id,
    ),
    Difference(
        "Texts of Triton's that say too little or are not well formed",
        "Inputs are listed in the request's order; a missing bracket; an input that is no object.",
        of("an input too many", "inputs of numbers", "parameters {'a'", triton=400, ours=400),
    ),
    Difference(
        "A body that is no JSON object, and settings of unknown names or levels, are refused",
        "Triton ignores them, and a mistyped setting passes for one that was made.",
        of(
            *("logging {'log_what'", "logging []", "trace {'what'", "trace []"),
            "trace {'trace_level': ['NEVER']}",
            *("index []", "load with body []"),
            triton=200,
            ours=400,
        ),
    ),
    Difference(
        "A number of traces that is none, and `trace_rate` 0, are refused",
        "Triton reads `1_000` as 1, and traces nothing at a rate of 0, as `trace_level` OFF does.",
        of("trace {'trace_rate': '0'}", "trace {'trace_rate': '1_000'}", triton=200, ours=400),
    ),
    Difference(
        "`unload_dependents` that is neither true nor false is refused",
        "So Triton's gRPC does; its REST takes it for false.",
        of("unload with dependents 1", triton=200, ours=400),
    ),
    VERSION_0,
    Difference(
        "The classes of an FP16 output are answered",
        "They are scores as any other; Triton refuses them.",
        lambda name, theirs, ours: (
            name == "classification of FP16"
            and theirs.status == 400
            and classes(ours) == ["1.500000:0"]
        ),
    ),
    Difference(
        "Classes of equal scores are in the order of their indices",
        "So they are in Triton where they are few; of many, its sort keeps no order.",
        lambda name, theirs, ours: (
            name == "classes of equal scores" and ties_in_order(*map(classes, (theirs, ours)))
        ),
    ),
    Difference(
        "A label ends before `\\r\\n`, too",
        "Triton has the `\\r` of a file from Windows in each of its labels.",
        lambda name, theirs, ours: (
            name == "labels of lines with \\r"
            and [one.removesuffix("\r") for one in classes(theirs)] == classes(ours)
        ),
    ),
    Difference(
        "A memory registration that is no JSON object is refused as that",
        "Triton reports its first missing field.",
        of("register []", triton=400, ours=400),
    ),
    Difference(
        "Traces are OpenTelemetry's, and need no file",
        "`trace_mode` is opentelemetry, where Triton's default writes files of its own.",
        _trace_mode,
    ),
    Difference(
        "`trace_level` TIMESTAMPS can be set without a trace file",
        "The same: the environment says where OpenTelemetry's traces go.",
        lambda name, theirs, ours: (
            name == "trace {'trace_level': ['TIMESTAMPS']}"
            and theirs.status == 400
            and ours.body["trace_level"] == ["TIMESTAMPS"]
        ),
    ),
    Difference(
        "Registering CUDA shared memory is 501",
        "This server shares no memory of a GPU, and says so before it looks at the request.",
        of("register cuda", triton=400, ours=501),
    ),
    Difference(
        "Shared memory may begin anywhere in its file",
        "Triton maps it, which is done by pages; here it is read and written.",
        lambda name, theirs, ours: (
            (name, theirs.status, ours.status, ours.body) == ("register in a page", 400, 200, "")
        ),
    ),
    Difference(
        "`triton_enable_empty_final_response` is taken",
        "So it is by Triton's gRPC; its REST refuses it as reserved.",
        answered("parameters of streams", triton=400),
    ),
    Difference(
        "`parameters` of an input or output that are neither an object nor null are refused",
        "Triton passes over them, and so over what was asked.",
        of("parameters [] of", "parameters 'text' of", triton=200, ours=400),
    ),
    Difference(
        "Of a key that an object has twice, the last counts",
        "So it does for most parsers; Triton takes the first.",
        lambda name, theirs, ours: (
            name == "a key twice" and (theirs.body["id"], ours.body["id"]) == ("first", "last")
        ),
    ),
    Difference(
        "A path's percent escapes are read",
        "They mean what they stand for (RFC 3986); Triton compares what was sent.",
        lambda name, theirs, ours: (
            name == "path of escapes" and theirs.status == 404 and ours.body["name"] == "simple"
        ),
    ),
    Difference(
        "`/` and `/v2/models` are answered",
        "KServe has the first, and a list of the models is asked for; Triton says 404.",
        lambda name, theirs, ours: (
            name.startswith("KServe's path")
            and (theirs.status, ours.status) == (404, 200)
            and (ours.body == {"status": "alive"} or "simple" in ours.body["models"])
        ),
    ),
    Difference(
        "Content-Encoding is read in letters of any case, and may be identity",
        "So says RFC 9110; Triton refuses both.",
        answered("encoding GZIP", "encoding Identity", triton=501),
    ),
    Difference(
        "More than 2^32 classes are all that there are",
        "Triton takes the lower 32 bits of the number, which may be 0, no classification.",
        lambda name, theirs, ours: (
            name == f"classification {2**40}"
            and [one.body["outputs"]["scores"]["datatype"] for one in (theirs, ours)]
            == ["FP32", "BYTES"]
        ),
    ),
    Difference(
        "`trace_level` may be one text",
        "Triton takes a list alone.",
        lambda name, theirs, ours: (
            name == "trace {'trace_level': 'OFF'}"
            and theirs.status == 500
            and ours.body["trace_level"] == ["OFF"]
        ),
    ),
    Difference(
        "A trace setting out of its range has one text",
        "Triton has another for each.",
        of("trace {'trace_count': '-2'}", triton=400, ours=400),
    ),
    Difference(
        "Why a run fails is in the log, and the answer is `internal error; see the server's log`",
        "Triton sends onnxruntime's text, which names the server's files and the model's nodes.",
        lambda name, theirs, ours: (
            name == "a run at index 9"
            and theirs.status == ours.status == 500
            and "indices element out of data bounds" in theirs.error
            and ours.error.startswith("internal error")
        ),
    ),
)
"""Of statuses and bodies."""
