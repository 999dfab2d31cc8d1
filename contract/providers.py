"""Which execution providers may run a model here, with which arithmetic, and why.

`choices` is a pure decision over what the machine has, what config.pbtxt names, what the user asks
for and what was measured; its first choice is to be tried first, and the others, in their order,
when that fails: tensorrt, cuda, openvino, cpu. contract/sessions.py carries a choice out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from contract.arithmetic import settle
from contract.choice import BF16_FLAGS, ORDER, Asked, Choice, Machine, Model, Provider
from contract.errors import ProviderError
from contract.precision import Guard

OPENVINO_NEEDS: Final = "needs a CPU of Intel's and pip install onnxruntime-ep-openvino"


def choices(machine: Machine, model: Model, asked: Asked | None = None) -> tuple[Choice, ...]:
    """Choose for `machine`; the first is the one to try first.

    Raises:
        ProviderError: What the user asks for cannot be had on this machine.
    """
    asked = asked or Asked()
    _check_asked(machine, asked)
    first, reason = _first(machine, model, asked)
    chosen = [settle(first, reason, machine, model, asked)]
    for provider in ORDER[ORDER.index(first) + 1 :]:
        if _is_next(provider, machine, model):
            why = f"{chosen[-1].provider} failed"
            chosen.append(settle(provider, why, machine, model, asked))
    return (replace(chosen[0], missing=_missing_of(machine, model, asked)), *chosen[1:])


def _check_asked(machine: Machine, asked: Asked) -> None:
    """Refuse flags that no model can be run with here."""
    match asked.provider:
        case "cuda" | "tensorrt" if not machine.gpus:
            raise ProviderError(
                f"provider {asked.provider} was asked for, but there is no CUDA device with "
                "onnxruntime-gpu here; install the extra serve-gpu, or take provider auto"
            )
        case "tensorrt" if not machine.has_tensorrt:
            raise ProviderError(
                "provider tensorrt was asked for, but this onnxruntime was built without it; "
                "install onnxruntime-gpu and tensorrt, or take provider cuda"
            )
    if asked.provider == "openvino" or asked.precision == "bf16":
        if not machine.has_openvino:
            raise ProviderError(
                f"provider openvino was asked for, but is not here; it {OPENVINO_NEEDS}"
            )
        if asked.precision == "bf16" and not machine.bf16_flags:
            raise ProviderError(f"precision bf16 was asked for; the CPU has none of {BF16_FLAGS}")
    able: Mapping[str, tuple[str, ...]] = {
        "bf16": ("auto", "openvino"),
        "fp16": ("auto", "tensorrt"),
    }
    if asked.provider not in able.get(asked.precision, (asked.provider,)):
        _, provider = able[asked.precision]
        raise ProviderError(
            f"precision {asked.precision} needs provider {provider}; got provider {asked.provider}"
        )
    if asked.precision == "fp16" and not (machine.gpus and machine.has_tensorrt):
        raise ProviderError("precision fp16 was asked for; it needs a CUDA device and TensorRT")


def _first(machine: Machine, model: Model, asked: Asked) -> tuple[Provider, str]:
    """The provider to try first, and why."""
    of_precision: Mapping[str, Provider] = {"bf16": "openvino", "fp16": "tensorrt"}
    for provider in ORDER:
        if asked.provider == provider:
            return provider, f"provider {provider} was asked for"
    if asked.precision in of_precision:
        return of_precision[asked.precision], f"precision {asked.precision} was asked for"
    if model.placement.on_gpu:
        return _first_of_gpu(machine, model)
    return _first_of_cpu(machine, model, asked)


def _first_of_gpu(machine: Machine, model: Model) -> tuple[Provider, str]:
    names: tuple[Provider, ...] = ("tensorrt", "cuda")
    for provider in names:
        if provider in model.accelerators and _has(machine, provider):
            return provider, f"config.pbtxt names {provider}"
    return "cuda", "a CUDA device and onnxruntime-gpu are here"


def _first_of_cpu(machine: Machine, model: Model, asked: Asked) -> tuple[Provider, str]:
    """OpenVINO without bf16 is no faster than onnxruntime's own CPU provider."""
    guard = model.guard
    if "openvino" in model.accelerators and machine.has_openvino:
        return "openvino", "config.pbtxt names openvino"
    if asked.precision == "fp32":
        return "cpu", "precision fp32 was asked for"
    if guard.graph == "int8":
        return "cpu", f"the graph computes in int8; {guard.says('int8')}"
    obstacle = _obstacle_to_bf16(machine, guard)
    return ("cpu", obstacle) if obstacle else ("openvino", _has_flags(machine))


def _obstacle_to_bf16(machine: Machine, guard: Guard) -> str:
    if not machine.bf16_flags:
        return f"the CPU has none of {' and '.join(BF16_FLAGS)}"
    if not machine.has_openvino:
        return f"provider openvino is not here; it {OPENVINO_NEEDS}"
    return "" if guard.allows("bf16") else guard.says("bf16")


def _has_flags(machine: Machine) -> str:
    return f"the CPU has {' and '.join(machine.bf16_flags)}"


def _missing_of(machine: Machine, model: Model, asked: Asked) -> str:
    is_overridden = asked.provider != "auto" or asked.precision in ("bf16", "fp16")
    return "" if is_overridden else "; ".join(_missing(machine, model))


def _missing(machine: Machine, model: Model) -> Iterator[str]:
    named, placement = model.accelerators, model.placement
    if placement.lacks_gpu:
        yield "config.pbtxt asks for KIND_GPU, but there is no CUDA device here"
    if placement.on_gpu:
        if "tensorrt" in named and not machine.has_tensorrt:
            yield "config.pbtxt names tensorrt, but this onnxruntime was built without it"
        return
    on_gpus = [name for name in ("tensorrt", "cuda") if name in named]
    # A file that names both says what to do on either kind of machine.
    if on_gpus and "openvino" not in named and not placement.is_forced_to_cpu:
        yield f"config.pbtxt names {on_gpus[0]}, but there is no CUDA device here"
    if "openvino" in named and not machine.has_openvino:
        yield f"config.pbtxt names openvino, but it is not here; it {OPENVINO_NEEDS}"


def _is_next(provider: Provider, machine: Machine, model: Model) -> bool:
    """Whether a model falls back to the provider."""
    match provider:
        case "openvino":
            is_named = machine.has_openvino and "openvino" in model.accelerators
            return is_named or not _obstacle_to_bf16(machine, model.guard)
        case "tensorrt" | "cuda":
            return _has(machine, provider)
        case _:
            return True


def _has(machine: Machine, provider: Provider) -> bool:
    return machine.gpus > 0 and (provider == "cuda" or machine.has_tensorrt)
