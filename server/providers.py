"""Which execution provider runs a model here, with which arithmetic, and why.

`choose` is a pure decision over what the machine has; `open_session` carries it out with
onnxruntime. OpenVINO comes as a plug-in library, CUDA as another build of onnxruntime.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import onnxruntime as ort

from server.errors import LoadError
from server.hardware import cuda_device_count, read_cpu_flags

logger = logging.getLogger(__name__)

Provider = Literal["cpu", "openvino", "cuda"]
Precision = Literal["fp32", "bf16"]

_BF16_FLAGS = ("amx_bf16", "avx512_bf16")
_OPENVINO = "OpenVINOExecutionProvider"
_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"


@dataclass(frozen=True, slots=True)
class Machine:
    """What decides the choice: the installed providers, and the CPU's features."""

    has_cuda: bool
    has_openvino: bool
    cpu_flags: frozenset[str]


@dataclass(frozen=True, slots=True)
class Choice:
    """A provider, its arithmetic, and the reason in words."""

    provider: Provider
    precision: Precision
    reason: str


def choose(machine: Machine, provider: str = "auto", precision: str = "auto") -> Choice:
    """Choose for `machine`, bound by what the user asked for.

    OpenVINO without bf16 is no faster than onnxruntime's own CPU provider, so it is taken where
    the CPU computes in bf16.

    Raises:
        LoadError: What was asked for is not on this machine.
    """
    bf16 = [flag for flag in _BF16_FLAGS if flag in machine.cpu_flags]
    if provider == "cuda" or (provider == "auto" and machine.has_cuda):
        return _choose_cuda(machine, provider, precision)
    if provider == "cpu":
        if precision == "bf16":
            raise LoadError("precision bf16 on a CPU needs provider openvino; got provider cpu")
        return Choice("cpu", "fp32", "provider cpu was asked for")
    return _choose_openvino(machine, provider, precision, bf16)


@cache
def detect_machine() -> Machine:
    """Look once at the installed providers and the CPU."""
    return Machine(
        has_cuda=_CUDA in ort.get_available_providers() and cuda_device_count() > 0,
        has_openvino=find_spec("onnxruntime_ep_openvino") is not None,
        cpu_flags=read_cpu_flags(),
    )


def open_session(path: Path, choice: Choice, threads: int) -> ort.InferenceSession:
    """Open a model with the chosen provider.

    Raises:
        LoadError: onnxruntime refuses the file, or the provider refuses the model.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    providers: Sequence[str] | None = [_CPU]
    if choice.provider == "openvino":
        options.add_provider_for_devices(_openvino_devices(), _openvino_options(choice, threads))
        providers = None
    elif choice.provider == "cuda":
        ort.preload_dlls()  # the CUDA libraries of pip's nvidia packages
        providers = [_CUDA, _CPU]
    try:
        session = ort.InferenceSession(str(path), options, providers=providers)
    except Exception as err:  # onnxruntime's errors share no base class below Exception
        raise LoadError(f"{path}: onnxruntime cannot load it: {err}") from err
    wanted = {"cpu": _CPU, "openvino": _OPENVINO, "cuda": _CUDA}[choice.provider]
    if wanted not in session.get_providers():
        raise LoadError(f"{path}: {wanted} did not start; got {session.get_providers()}")
    return session


def _choose_cuda(machine: Machine, provider: str, precision: str) -> Choice:
    if not machine.has_cuda:
        raise LoadError(
            "provider cuda was asked for, but there is no CUDA device with onnxruntime-gpu here; "
            "install the extra serve-gpu, or take provider auto"
        )
    if precision == "bf16":
        raise LoadError("precision bf16 is of provider openvino; provider cuda serves fp32")
    asked = provider == "cuda"
    why = "provider cuda was asked for" if asked else "a CUDA device and onnxruntime-gpu are here"
    return Choice("cuda", "fp32", why)


def _choose_openvino(
    machine: Machine, provider: str, precision: str, bf16: Sequence[str]
) -> Choice:
    asked = provider == "openvino" or precision == "bf16"
    if asked and not machine.has_openvino:
        raise LoadError("provider openvino was asked for; pip install onnxruntime-ep-openvino")
    if precision == "bf16" and not bf16:
        raise LoadError(f"precision bf16 was asked for; the CPU has none of {_BF16_FLAGS}")
    if machine.has_openvino and bf16 and precision != "fp32":
        return Choice("openvino", "bf16", f"the CPU has {' and '.join(bf16)}")
    if asked:
        return Choice("openvino", "fp32", "provider openvino was asked for")
    if precision == "fp32":
        return Choice("cpu", "fp32", "precision fp32 was asked for")
    if not machine.has_openvino:
        return Choice("cpu", "fp32", "onnxruntime-ep-openvino is not installed")
    return Choice("cpu", "fp32", f"the CPU has none of {' and '.join(_BF16_FLAGS)}")


@cache
def _openvino_devices() -> list[ort.OrtEpDevice]:
    """Register the plug-in library once in this process and return its CPU devices."""
    import onnxruntime_ep_openvino as openvino  # noqa: PLC0415  # absent from the GPU image

    ort.register_execution_provider_library(openvino.get_ep_name(), openvino.get_library_path())
    return [
        device
        for device in ort.get_ep_devices()
        if device.ep_name == openvino.get_ep_name()
        and device.device.type == ort.OrtHardwareDeviceType.CPU
    ]


def _openvino_options(choice: Choice, threads: int) -> dict[str, str]:
    hint = {"fp32": "f32", "bf16": "bf16"}[choice.precision]
    cpu = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": threads}
    return {"load_config": json.dumps({"CPU": cpu})}
