"""What the choice of an execution provider is made from, and what it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

from contract.accelerators import Accelerators
from contract.placement import Placement
from contract.precision import Guard, Precision

Provider: TypeAlias = Literal["tensorrt", "cuda", "openvino", "cpu"]

ORDER: Final[tuple[Provider, ...]] = get_args(Provider)
"""The providers, each before those that it falls back to."""

BF16_FLAGS: Final = ("amx_bf16", "avx512_bf16")


@dataclass(frozen=True, slots=True)
class Machine:
    """What decides the choice.

    Attributes:
        gpus: CUDA devices that the installed onnxruntime can use.
        has_tensorrt: Whether it was built with TensorRT.
        has_openvino: Whether OpenVINO's plug-in is installed, and takes this CPU.
        cpu_flags: The CPU's features.
    """

    gpus: int
    has_tensorrt: bool
    has_openvino: bool
    cpu_flags: frozenset[str]

    @property
    def bf16_flags(self) -> tuple[str, ...]:
        """The features of the CPU that make bf16 fast."""
        return tuple(flag for flag in BF16_FLAGS if flag in self.cpu_flags)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user asks for by flags; auto leaves it open."""

    provider: str = "auto"
    precision: str = "auto"


@dataclass(frozen=True, slots=True)
class Choice:
    """A provider and its arithmetic.

    Attributes:
        provider: The execution provider.
        precision: The lowest precision that it computes in.
        reason: Why, in words.
        options: Options of onnxruntime's provider, by its names for them.
        warning: What the user should know of its precision, or the empty string.
        missing: What config.pbtxt asks for and is not here, or the empty string.
    """

    provider: Provider
    precision: Precision
    reason: str
    options: Mapping[str, str] = field(default_factory=dict)
    warning: str = ""
    missing: str = ""

    @property
    def runs_on_cpu(self) -> bool:
        """Whether its runs are on the CPU."""
        return self.provider in ("cpu", "openvino")


@dataclass(frozen=True, slots=True)
class Model:
    """What decides the choice on the model's side.

    Attributes:
        accelerators: What its config.pbtxt names.
        placement: Where its instances run.
        guard: What was measured of its precisions.
    """

    accelerators: Accelerators = field(default_factory=dict)
    placement: Placement = field(default_factory=Placement)
    guard: Guard = field(default_factory=Guard)
