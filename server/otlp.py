"""Whether OpenTelemetry's environment variables ask for traces, and where these are to go.

Addresses, headers, sampling, resource and batches are read by the SDK itself, which answers a bad value
in many ways: with a traceback and its default, with a traceback and no start, or at each export. So what
can be wrong is looked at here, before anything of OpenTelemetry's is imported.

Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from contract.errors import OptionsError

Exporter: TypeAlias = Literal["http/protobuf", "grpc", "console"]

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_LEAST: Final = {
    "OTEL_BSP_SCHEDULE_DELAY": 1,
    "OTEL_BSP_EXPORT_TIMEOUT": 0,
    "OTEL_BSP_MAX_QUEUE_SIZE": 1,
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": 1,
    "OTEL_ATTRIBUTE_COUNT_LIMIT": 0,
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": 0,
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": 0,
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": 0,
    "OTEL_SPAN_EVENT_COUNT_LIMIT": 0,
    "OTEL_SPAN_LINK_COUNT_LIMIT": 0,
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": 0,
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": 0,
}
"""The least that a whole number may be."""

_QUEUE: Final = ("OTEL_BSP_MAX_QUEUE_SIZE", 2048)
_BATCH: Final = ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)
"""Variables and what they are by default: no batch is larger than the queue."""

_SECONDS: Final = ("OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
_COMPRESSIONS: Final = (
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
)
_COMPRESSED: Final = ("none", "gzip", "deflate")
_FILES: Final = tuple(
    f"OTEL_EXPORTER_OTLP_{signal}{what}"
    for signal in ("", "TRACES_")
    for what in ("CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE")
)
_PROPAGATORS: Final = "OTEL_PROPAGATORS"
_READ_BY_IMPORTS: Final = (_PROPAGATORS, "OTEL_PYTHON_CONTEXT")


def asked_exporter(environ: Mapping[str, str]) -> Exporter | None:
    """What traces are to be exported by; None if the variables ask for no traces.

    They ask for them by OTEL_TRACES_EXPORTER or, without that, by an OTLP endpoint.

    Raises:
        OptionsError: A variable has a value that this server does not know.
    """
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    default = "otlp" if any(environ.get(name) for name in _ENDPOINTS) else "none"
    exporter = environ.get("OTEL_TRACES_EXPORTER") or default
    if exporter == "none":
        return None
    if exporter not in ("otlp", "console"):
        raise OptionsError(
            [f"OTEL_TRACES_EXPORTER is {exporter!r}; expected otlp, console or none"]
        )
    if problems := [*_problems(environ)]:
        raise OptionsError(problems)
    if exporter == "console":
        return "console"
    variable = next((name for name in _PROTOCOLS if environ.get(name)), None)
    match environ[variable] if variable else "http/protobuf":
        case "http/protobuf":
            if problems := [
                f"{name} is {value!r}; expected a URL such as http://HOST:4318"
                for name in _ENDPOINTS
                if (value := environ.get(name)) and not _is_url(value)
            ]:
                raise OptionsError(problems)
            return "http/protobuf"
        case "grpc":
            return "grpc"
        case other:
            raise OptionsError([f"{variable} is {other!r}; expected http/protobuf or grpc"])


def to_unset(environ: Mapping[str, str], exporter: Exporter | None) -> Sequence[str]:
    """The variables to be taken away before anything of OpenTelemetry's is imported.

    By the specification an empty one is as none, which the SDK does not know of all. KServe imports
    parts of OpenTelemetry where no traces are asked for, and these read what then is nobody's wish.
    """
    unasked = () if exporter else _READ_BY_IMPORTS
    return [
        name
        for name, value in environ.items()
        if name in unasked or (name.startswith("OTEL_") and not value)
    ]


def _problems(environ: Mapping[str, str]) -> Iterator[str]:
    """A line for each variable whose value cannot be meant; empty ones are as none."""
    for name, least in _LEAST.items():
        if (value := environ.get(name)) and not _is_number(value, least):
            yield f"{name} is {value!r}; expected a whole number, {least} or more"
    for name in _SECONDS:
        if (value := environ.get(name)) and not _is_time(value):
            yield f"{name} is {value!r}; expected seconds, more than 0"
    for name in _COMPRESSIONS:
        if (value := environ.get(name)) and value.strip().lower() not in _COMPRESSED:
            yield f"{name} is {value!r}; expected one of {', '.join(_COMPRESSED)}"
    for name in _FILES:
        if (value := environ.get(name)) and not Path(value).is_file():
            yield f"{name} is {value!r}, which is not a file"
    (queue, most), (batch, size) = (
        (name, environ.get(name) or str(default)) for name, default in (_QUEUE, _BATCH)
    )
    if _is_number(most, 1) and _is_number(size, 1) and int(size) > int(most):
        yield f"{queue} is {most!r}; expected at least {batch}, which is {size!r}"
    yield from _unknown_propagators(environ.get(_PROPAGATORS, ""))


def _is_number(value: str, least: int) -> bool:
    try:
        return int(value) >= least
    except ValueError:
        return False


def _is_time(value: str) -> bool:
    try:
        return 0 < float(value) < math.inf
    except ValueError:
        return False


def _is_url(value: str) -> bool:
    parts = urlsplit(value)
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _unknown_propagators(value: str) -> Iterator[str]:
    asked = [name.strip() for name in value.split(",")] if value else []
    if not asked or "none" in map(str.lower, asked):
        return
    known = sorted({point.name for point in entry_points(group="opentelemetry_propagator")})
    if any(name not in known for name in asked):
        yield f"{_PROPAGATORS} is {value!r}; expected none, or of {', '.join(known)}"
