"""How versions are run on this machine: what the options say, for all models alike."""

from dataclasses import dataclass
from pathlib import Path

from server.decoder import Decoder
from server.rate_limiter import RateLimiter
from server.record import Tracer
from server.response_cache import ResponseCache


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """How versions are run on this machine.

    Attributes:
        provider: The provider that the user asked for, or auto.
        precision: The arithmetic that the user asked for, or auto.
        threads: Threads of the inferences that go on at once.
        max_queue_size: Most pictures or batch rows waiting for a version.
        max_instances: Most pictures of a request.
        decoder: Decodes the pictures of requests.
        tracer: Decides which requests are traced; None if no request is.
        strict_accelerators: Whether a version whose provider fails is not to be served.
        engine_cache_dir: Where TensorRT's engines are kept if the version's folder cannot be
            written to.
        response_cache: Keeps answers of the models that ask for it; None keeps none.
        limiter: Says which instances of all models may run at once; None: all may.
    """

    provider: str
    precision: str
    threads: int
    max_queue_size: int
    max_instances: int
    decoder: Decoder
    tracer: Tracer | None = None
    strict_accelerators: bool = False
    engine_cache_dir: Path | None = None
    response_cache: ResponseCache | None = None
    limiter: RateLimiter | None = None
