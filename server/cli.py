"""aperture-serve: the one file of the server that reads argv and the environment."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from contract.errors import OptionsError
from contract.options import add_flags, build, given_environment, given_flags, unknown_name
from server.errors import LoadError
from server.listening import check_port
from server.log_settings import LogSettings
from server.memory import keep_buffers
from server.otlp import Exporter, asked_exporter, to_unset
from server.sagemaker import COMMAND, by_variable, given_by_sagemaker
from server.settings import ENVIRONMENT_PREFIX, LARGEST_BODY, ServerOptions

_SWITCH_INTERVAL_S: Final = 1e-3
"""How long a thread keeps the interpreter that another asks for. The event loop asks some times for
each answer; at Python's 5 ms health would wait for tens of them while bodies of JSON are parsed."""


def main() -> None:
    """Serve a model repository until SIGTERM; exits 2 on bad options, 1 if it cannot start."""
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when onnxruntime is imported
    try:
        options = parse_options(sys.argv[1:], os.environ)
        keep_buffers(options.http_max_input_size, os.environ)
        exporter = asked_exporter(os.environ)
        for name in to_unset(os.environ, exporter):
            del os.environ[name]
        if left := serve(options, exporter):
            leave(left)
    except (OptionsError, LoadError, OSError) as err:
        for line in str(err).splitlines():
            print(f"error: {line}", file=sys.stderr)
        sys.exit(getattr(err, "exit_code", 1))


def parse_options(argv: Sequence[str], environ: Mapping[str, str]) -> ServerOptions:
    """Options from flags, then from variables.

    Raises:
        OptionsError: One line for each bad value or unknown flag.
    """
    parser = argparse.ArgumentParser(
        prog="aperture-serve",
        usage="aperture-serve [serve] [flags]",
        description="Serve a model repository over KServe V1, V2 REST and V2 gRPC. As `serve`, do "
        "so as SageMaker's containers do, from /opt/ml/model.",
        allow_abbrev=False,
    )
    in_sagemaker = list(argv[:1]) == [COMMAND]
    argv = argv[1:] if in_sagemaker else argv
    add_flags(parser, ServerOptions, "options")
    namespace, rest = parser.parse_known_args([underscored(arg) for arg in argv])
    if rest:
        known = list(ServerOptions.model_fields)
        unknown = [arg[2:].partition("=")[0] for arg in rest if arg.startswith("--")]
        problems = [unknown_name(name, known) for name in unknown]
        raise OptionsError(problems or [f"unexpected argument {arg!r}" for arg in rest])
    flags = given_flags(namespace, ServerOptions)
    variables = given_environment(environ, ENVIRONMENT_PREFIX, ServerOptions)
    if not in_sagemaker:
        return build(ServerOptions, flags, variables)
    told = {**variables, **flags}
    platform = given_by_sagemaker(environ, LARGEST_BODY, told)
    try:
        return build(ServerOptions, flags, variables, platform)
    except OptionsError as err:
        raise OptionsError(by_variable(err.problems, told)) from None


def underscored(arg: str) -> str:
    """A flag with underscores in its name, where Triton's users write hyphens; else `arg`."""
    if not arg.startswith("--"):
        return arg
    name, equals, value = arg[2:].partition("=")
    return f"--{name.replace('-', '_')}{equals}{value}"


def leave(left: str) -> NoReturn:
    """End the process without waiting for its threads, as Python does at its end."""
    logging.getLogger(__name__).warning(left)
    logging.shutdown()
    os._exit(0)


def serve(options: ServerOptions, exporter: Exporter | None) -> str:
    """Run the server, exporting traces if there is an exporter; blocks.

    Returns:
        What a thread is left at that the process must not wait for; empty if none is.

    Raises:
        LoadError: There is no folder to serve.
        OSError: A port is taken.
    """
    for flag, port in options.ports().items():
        check_port(flag, port)
    handler = logging.StreamHandler()
    logging.getLogger().addHandler(handler)
    logs = LogSettings(handler)
    for library in ("kserve", "aiobotocore", "botocore"):
        logging.getLogger(library).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").setLevel(
        logging.INFO if options.access_log else logging.WARNING
    )
    # KServe parses argv when it is imported; its flags are not ours.
    sys.argv[1:] = ["--configure_logging", "false"]
    import uvloop  # noqa: PLC0415  # not before --help and bad flags are answered

    from server.assembly import build_server  # noqa: PLC0415  # imports KServe, after argv is parsed

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    return build_server(options, logs, exporter).serve()
