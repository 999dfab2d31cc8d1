"""Whether OpenTelemetry's environment variables ask for traces, and where these are to go.

Addresses, headers, sampling, resource and batches are read by the SDK itself.

Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from contract.errors import OptionsError

Exporter: TypeAlias = Literal["http/protobuf", "grpc", "console"]

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


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
    if exporter == "console":
        return "console"
    if exporter != "otlp":
        raise OptionsError(
            [f"OTEL_TRACES_EXPORTER is {exporter!r}; expected otlp, console or none"]
        )
    variable = next((name for name in _PROTOCOLS if environ.get(name)), None)
    match environ[variable] if variable else "http/protobuf":
        case "http/protobuf":
            return "http/protobuf"
        case "grpc":
            return "grpc"
        case other:
            raise OptionsError([f"{variable} is {other!r}; expected http/protobuf or grpc"])
