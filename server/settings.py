"""The server's options: each a flag, and a variable APERTURE_ + upper-case name."""

from pathlib import Path
from typing import ClassVar, Final, Literal

from pydantic import Field, model_validator

from contract.options import Options
from contract.pictures import DEFAULT_MAX_PIXELS

ENVIRONMENT_PREFIX: Final = "APERTURE_"


class ServerOptions(Options):
    """What `aperture-serve` can be told."""

    model_repository: Path | None = Field(
        None, description="folder of model folders, in Triton's layout"
    )
    model_name: str | None = Field(
        None, description="with --model_dir, the name that one model answers to"
    )
    model_dir: Path | None = Field(
        None, description="one model's folder, or a whole repository, as KServe mounts it"
    )
    http_port: int = Field(8080, ge=1, le=65535, description="port of REST")
    grpc_port: int = Field(8081, ge=1, le=65535, description="port of gRPC")
    provider: Literal["auto", "cpu", "openvino", "cuda"] = Field(
        "auto", description="execution provider of onnxruntime; auto takes the best there is"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="arithmetic of the CPU; auto takes bf16 where the CPU has AMX or AVX512-BF16",
    )
    threads: int = Field(
        0,
        ge=0,
        description="threads of one inference and of decoding; 0: the CPUs that this process may use",
    )
    max_queue_size: int = Field(
        4096,
        ge=1,
        description="pictures that may wait for a model before requests are refused with 503",
    )
    max_pixels: int = Field(
        DEFAULT_MAX_PIXELS, ge=1, description="largest picture, in pixels, that is decoded"
    )
    http_max_input_size: int = Field(
        64 * 1024 * 1024,
        ge=1,
        description="largest body of a REST request and message of gRPC, in bytes",
    )
    shutdown_delay: float = Field(
        1.0,
        ge=0,
        description="seconds from SIGTERM, readiness false, to no longer accepting requests",
    )
    grace_period: int = Field(
        30, ge=1, description="seconds that requests under way may take after that"
    )
    access_log: bool = Field(default=False, description="log a line for each REST request")

    alternatives: ClassVar[frozenset[str]] = frozenset({"model_repository", "model_dir"})

    @model_validator(mode="after")
    def _one_source(self) -> "ServerOptions":
        if (self.model_repository is None) == (self.model_dir is None):
            raise ValueError(
                "give either --model_repository DIR, or --model_dir DIR with --model_name NAME"
            )
        if self.model_name is not None and self.model_dir is None:
            raise ValueError("--model_name names the model of --model_dir, which is not given")
        if self.http_port == self.grpc_port:
            raise ValueError(f"--http_port and --grpc_port are both {self.http_port}")
        return self
