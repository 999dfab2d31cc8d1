"""The server's options: each a flag, and a variable APERTURE_ + upper-case name."""

import itertools
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from contract.locations import Location, parse_location
from contract.options import LocalPath, Options
from contract.pictures import DEFAULT_MAX_PIXELS
from server.demands import parse_resource
from server.rendering import BoxOrder

ENVIRONMENT_PREFIX: Final = "APERTURE_"
LARGEST_BODY: Final = 64 * 1024 * 1024

_CACHE: Final = "local,size="
_DIGITS: Final = 18


class ServerOptions(Options):
    """What `aperture-serve` can be told."""

    model_repository: Annotated[Location | None, BeforeValidator(parse_location)] = Field(
        None, description="folder of model folders, in Triton's layout; or s3://BUCKET/PREFIX"
    )
    bucket_cache_dir: LocalPath | None = Field(
        None,
        description="with a bucket, folder for the copies of what is served, kept for the next "
        "start; a temporary one if not given",
    )
    model_name: str | None = Field(
        None, description="with --model_dir, the name that one model answers to"
    )
    model_dir: LocalPath | None = Field(
        None, description="one model's folder, or a whole repository, as KServe mounts it"
    )
    model_control_mode: Literal["none", "poll", "explicit"] = Field(
        "none",
        description="none loads every model at the start; poll also follows changes of the "
        "repository; explicit loads what --load_model names, and then what requests ask for",
    )
    repository_poll_secs: int = Field(
        15, ge=1, description="in mode poll, seconds between two looks at the repository"
    )
    load_model: tuple[str, ...] = Field(
        (),
        description="in mode explicit, a model to load at the start; may be given again; "
        "* for all; the variable takes a list with commas",
    )
    strict_readiness: bool = Field(
        default=True,
        description="ready only if every model answers; false: ready once they were loaded or not",
    )
    exit_on_error: bool = Field(
        default=False, description="end with status 1 if a model cannot be loaded at the start"
    )
    http_port: int = Field(8080, ge=1, le=65535, description="port of REST")
    grpc_port: int = Field(8081, ge=1, le=65535, description="port of gRPC")
    allow_metrics: bool = Field(default=True, description="answer GET /metrics")
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="port of GET /metrics alone; by default that of REST"
    )
    provider: Literal["auto", "cpu", "openvino", "cuda", "tensorrt"] = Field(
        "auto",
        description="execution provider of onnxruntime, whatever config.pbtxt names; auto takes "
        "what that names, else the best there is",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        description="arithmetic: bf16 is of openvino, fp16 of tensorrt; auto takes a lower one "
        "than fp32 where config.pbtxt names it or its measurement allows it",
    )
    strict_accelerators: bool = Field(
        default=False,
        description="do not serve a model whose execution provider fails; else the next one is "
        "tried: tensorrt, cuda, openvino, cpu",
    )
    engine_cache_dir: LocalPath | None = Field(
        None,
        description="folder for TensorRT's engines of versions whose folders cannot be written to",
    )
    threads: int = Field(
        0,
        ge=0,
        description="threads of one inference and of decoding; 0: the CPUs that this process may use",
    )
    max_queue_size: int = Field(
        4096,
        ge=1,
        description="pictures, or batch rows of a model without a vision task, that may wait for "
        "a version before requests are refused with 503",
    )
    max_instances: int = Field(
        4096, ge=1, description="most pictures of a request to a model with a vision task"
    )
    rate_limit: Literal["off", "execution_count"] = Field(
        "off",
        description="execution_count heeds each rate_limiter of config.pbtxt: its resources, and "
        "its priority by executions; off ignores them",
    )
    rate_limit_resource: tuple[str, ...] = Field(
        (),
        description="NAME:COUNT or NAME:COUNT:DEVICE, copies of a resource that instances share; "
        "may be given again, and then names all there are; the variable takes a list with commas",
    )
    max_pixels: int = Field(
        DEFAULT_MAX_PIXELS, ge=1, description="largest picture, in pixels, that is decoded"
    )
    http_max_input_size: int = Field(
        LARGEST_BODY,
        ge=1,
        description="largest body of a REST request, message of gRPC, and inputs of a request in shared "
        "memory, in bytes",
    )
    max_json_depth: int = Field(
        100, ge=1, le=500, description="how deep the JSON of a request may nest"
    )
    http_max_header_size: int = Field(
        64 * 1024, ge=1024, description="largest request line and headers of REST, in bytes"
    )
    http_read_timeout: float = Field(
        60.0,
        gt=0,
        description="seconds that the headers of a REST request may take to come, and each pause "
        "in its body, or in the reading of its answer, before the connection is closed",
    )
    shutdown_delay: float = Field(
        1.0,
        ge=0,
        description="seconds from SIGTERM, readiness false, to no longer accepting requests",
    )
    grace_period: int = Field(
        30, ge=1, description="seconds that requests under way may take after that"
    )
    cache_config: str | None = Field(
        None,
        description="local,size=BYTES: memory for the answers of models whose config.pbtxt asks for "
        "the response cache; by default there is none",
    )
    invocations_accept: str | None = Field(
        None,
        description="media type of the answers of /invocations where Accept leaves it open; by "
        "default the task's own",
    )
    invocations_timeout: float | None = Field(
        None, gt=0, description="seconds within which /invocations answers, or refuses with 503"
    )
    batch_transform: bool = Field(
        default=False,
        description='/invocations answers scores as {"prediction": [...]} in JSON, too',
    )
    box_order: BoxOrder = Field(
        "xyxy",
        description="corners in normalized_boxes: xmin, ymin, xmax, ymax; or xmin, xmax, ymin, ymax",
    )
    max_payload_in_mb: int = Field(
        6, ge=0, le=100, description="largest record of batch transform; 0: no limit of its own"
    )
    max_concurrent_transforms: int = Field(
        0, ge=0, description="records of batch transform at once; 0: as many as 100 MB hold"
    )
    batch_strategy: Literal["SINGLE_RECORD", "MULTI_RECORD"] = Field(
        "SINGLE_RECORD", description="records in a request of batch transform"
    )
    server_name: str = Field("aperture", description="name in the server's V2 metadata")
    allow_shared_memory: bool = Field(
        default=False,
        description="let clients register system shared memory, which names memory of this host",
    )
    grpc_infer_response_compression_level: Literal["none", "low", "medium", "high"] = Field(
        "none", description="compression of gRPC responses to clients that accept it"
    )
    grpc_keepalive_time: int = Field(
        7_200_000, ge=1, description="ms without traffic until the server pings a gRPC client"
    )
    grpc_keepalive_timeout: int = Field(
        20_000, ge=1, description="ms that the answer to such a ping may take"
    )
    grpc_keepalive_permit_without_calls: bool = Field(
        default=False, description="ping gRPC clients that have no call under way, too"
    )
    grpc_http2_max_pings_without_data: int = Field(
        2, ge=0, description="pings of the server without data between them; 0: any number"
    )
    grpc_http2_min_recv_ping_interval_without_data: int = Field(
        300_000, ge=0, description="ms between two pings of a gRPC client without data"
    )
    grpc_http2_max_ping_strikes: int = Field(
        2, ge=0, description="pings too early until a gRPC client is cut off; 0: never"
    )
    access_log: bool = Field(default=False, description="log a line for each REST request")

    alternatives: ClassVar[frozenset[str]] = frozenset({"model_repository", "model_dir"})

    def ports(self) -> dict[str, int]:
        """The ports to listen on, by flag."""
        ports = {"--http_port": self.http_port, "--grpc_port": self.grpc_port}
        if self.allow_metrics and self.metrics_port is not None:
            ports["--metrics_port"] = self.metrics_port
        return ports

    @property
    def cache_bytes(self) -> int:
        """Bytes of the response cache; 0 for none."""
        return int(self.cache_config.removeprefix(_CACHE)) if self.cache_config is not None else 0

    @field_validator("cache_config")
    @classmethod
    def _cache_size(cls, value: str | None) -> str | None:
        digits = "1" if value is None else value.removeprefix(_CACHE)
        # The flag is Triton's, which has other caches and other settings of them.
        if digits == value or not digits.isdecimal() or len(digits) > _DIGITS or int(digits) < 1:
            raise ValueError(f"got {value!r}, expected {_CACHE}BYTES of at least 1")
        return value

    @field_validator("load_model", "rate_limit_resource", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        return value.split(",") if isinstance(value, str) else value

    @field_validator("rate_limit_resource")
    @classmethod
    def _resources(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            parse_resource(text)
        return value

    @model_validator(mode="after")
    def _start_of_explicit_mode(self) -> "ServerOptions":
        if self.load_model and self.model_control_mode != "explicit":
            raise ValueError("--load_model needs --model_control_mode explicit")
        if "*" in self.load_model and len(self.load_model) > 1:
            raise ValueError("--load_model *, which is every model, must be the only one")
        return self

    @model_validator(mode="after")
    def _one_source(self) -> "ServerOptions":
        if (self.model_repository is None) == (self.model_dir is None):
            raise ValueError(
                "give either --model_repository DIR, or --model_dir DIR with --model_name NAME"
            )
        if self.model_name is not None and self.model_dir is None:
            raise ValueError("--model_name names the model of --model_dir, which is not given")
        return self

    @model_validator(mode="after")
    def _ports(self) -> "ServerOptions":
        for (flag, port), (other, its) in itertools.combinations(self.ports().items(), 2):
            if port == its:
                raise ValueError(f"{flag} and {other} are both {port}")
        return self
