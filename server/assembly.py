"""Options -> the whole server: what it serves is opened, and its parts are put together."""

import logging
from typing import TYPE_CHECKING

from contract.errors import OptionsError
from contract.hardware import available_cpus
from contract.locations import Bucket
from server.app import Server
from server.decoder import Decoder
from server.demands import parse_resource
from server.log_settings import LogSettings
from server.metrics import Metrics
from server.otlp import Exporter
from server.protocol.body import Bodies
from server.protocol.metrics import MetricsPage
from server.protocol.v2 import V2
from server.rate_limiter import RateLimiter
from server.repository import Control, Repository
from server.response_cache import ResponseCache
from server.runtime import Runtime
from server.settings import ServerOptions
from server.shared_memory import SharedMemory
from server.sources import Source, find_source, require_model
from server.trace_settings import Setting, TraceSettings

if TYPE_CHECKING:
    from server.tracing import Tracing

logger = logging.getLogger(__name__)


def build_server(
    options: ServerOptions, logs: LogSettings, exporter: Exporter | None = None
) -> Server:
    """The server that the user asked for.

    Args:
        options: What the user asked for.
        logs: The settings of the log, which clients may change.
        exporter: How traces are exported; None for no traces.

    Raises:
        LoadError: The folder to serve does not exist, is of the other kind, or lacks a model.
        OptionsError: The SDK of the traces does not start with the variables that it reads.
    """
    traces = TraceSettings(Setting(level=("TIMESTAMPS",), rate=1) if exporter else None)
    tracing = open_tracing(exporter, traces, options.server_name) if exporter else None
    runtime = build_runtime(options, tracing)
    control = Control(
        mode=options.model_control_mode,
        load_models=options.load_model,
        strict_readiness=options.strict_readiness,
        max_file_bytes=options.http_max_input_size,
    )
    v2 = V2(
        repository=Repository(open_source(options), runtime, control),
        shared_memory=SharedMemory(
            allowed=options.allow_shared_memory, most_bytes=options.http_max_input_size
        ),
        logs=logs,
        traces=traces,
        server_name=options.server_name,
        bodies=Bodies(options.http_max_input_size, options.max_json_depth),
    )
    metrics = None
    if options.allow_metrics:
        metrics = MetricsPage(Metrics(v2.repository, runtime.response_cache))
    return Server(options, v2, runtime.decoder, metrics, tracing)


def build_runtime(options: ServerOptions, tracing: "Tracing | None") -> Runtime:
    """How versions are run, as the user asked for it."""
    threads = options.threads or available_cpus()
    return Runtime(
        provider=options.provider,
        precision=options.precision,
        threads=threads,
        max_queue_size=options.max_queue_size,
        max_instances=options.max_instances,
        decoder=Decoder(threads, options.max_pixels),
        tracer=tracing,
        strict_accelerators=options.strict_accelerators,
        engine_cache_dir=options.engine_cache_dir,
        response_cache=ResponseCache(options.cache_bytes) if options.cache_bytes else None,
        limiter=limiter_of(options),
    )


def open_source(options: ServerOptions) -> Source:
    """Where the models lie that are to be served.

    A repository may be empty, as Triton's. What a platform mounts is there before the server is.

    Raises:
        LoadError: The folder does not exist, is of the other kind, or is mounted without a model.
    """
    if not isinstance(options.model_repository, Bucket):
        source = find_source(options.model_repository, options.model_dir, options.model_name)
        if options.model_dir is not None and options.model_control_mode == "none":
            require_model(source)
        elif not source.folders():
            logger.warning("repository=%s holds no model; none is served", source.root)
        return source
    from server.bucket_source import open_bucket  # noqa: PLC0415  # for who has a bucket alone

    return open_bucket(options.model_repository, options.bucket_cache_dir)


def open_tracing(exporter: Exporter, settings: TraceSettings, server_name: str) -> "Tracing":
    """The traces of the server; loads OpenTelemetry's SDK, which nothing else here needs.

    Raises:
        OptionsError: The SDK does not start with the variables that it reads.
    """
    try:
        from server.tracing import Tracing  # noqa: PLC0415  # as the docstring says

        return Tracing(exporter, settings, server_name)
    except ImportError:
        raise
    except Exception as err:  # ValueError, RuntimeError, and classes of the exporters' own
        reason = " ".join(str(err).split()) or repr(err)
        raise OptionsError(
            [f"OpenTelemetry does not start as its variables ask: {reason}"]
        ) from err


def limiter_of(options: ServerOptions) -> RateLimiter | None:
    """What limits which instances run at once; None without `--rate_limit execution_count`."""
    if options.rate_limit == "off":
        return None
    return RateLimiter(dict(map(parse_resource, options.rate_limit_resource)))
