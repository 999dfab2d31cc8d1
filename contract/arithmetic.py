"""In which precision a chosen provider computes: what somebody names, else what was measured."""

from dataclasses import replace
from typing import Final

from contract.accelerators import Accelerator
from contract.choice import BF16_FLAGS, Asked, Choice, Machine, Model, Provider
from contract.precision import Guard, Precision

# Without this a GPU rounds the factors of fp32 products to 10 bits; use_tf32 of config.pbtxt's
# accelerator cuda allows it.
_CUDA_FP32: Final = {"use_tf32": "0"}


def settle(provider: Provider, reason: str, machine: Machine, model: Model, asked: Asked) -> Choice:
    """The provider with its options and its precision.

    Args:
        provider: The provider.
        reason: Why it was chosen.
        machine: What the machine has.
        model: What config.pbtxt names for it, and what was measured.
        asked: What the user asks for, before either.
    """
    named = Accelerator() if provider == "cpu" else model.accelerators.get(provider, Accelerator())
    defaults = _CUDA_FP32 if provider == "cuda" else {}
    choice = Choice(provider, "fp32", reason, {**defaults, **named.options})
    if model.guard.graph == "int8":
        return _of_int8_graph(choice, asked.precision, named.precision, model.guard)
    able = _lower_precisions(provider, machine)
    for who, told in (("--precision", asked.precision), ("config.pbtxt", named.precision)):
        if told == "fp32":
            return choice
        for precision in able:
            if told == precision:
                return _told(choice, precision, who, model.guard)
    if named.precision:
        lacks = f"the CPU has none of {' and '.join(BF16_FLAGS)}"
        return replace(choice, warning=f"config.pbtxt names {named.precision}, but {lacks}")
    return _measured(choice, able[0], model.guard) if able else choice


def _lower_precisions(provider: Provider, machine: Machine) -> tuple[Precision, ...]:
    """What the provider can compute in beside fp32; the first is what is taken if allowed."""
    match provider:
        case "tensorrt":
            return "fp16", "int8"
        case "openvino":
            return ("bf16",) if machine.bf16_flags else ()
        case _:
            return ()


def _told(choice: Choice, precision: Precision, who: str, guard: Guard) -> Choice:
    """A precision that somebody asked for is used, whatever was measured of it."""
    warning = "" if guard.allows(precision) else f"{guard.says(precision)}; {who} asks for it"
    return _in_precision(replace(choice, warning=warning), precision)


def _measured(choice: Choice, precision: Precision, guard: Guard) -> Choice:
    explained = replace(choice, reason=f"{choice.reason}; {guard.says(precision)}")
    return _in_precision(explained, precision if guard.allows(precision) else "fp32")


def _of_int8_graph(choice: Choice, asked: str, named: str, guard: Guard) -> Choice:
    """Such a graph has no other precision, so what speaks against it can only be said."""
    warnings = [
        f"the graph computes in int8, so it cannot be run in {told}, which {who}"
        for who, told in (("--precision asks for", asked), ("config.pbtxt names", named))
        if told not in ("", "auto", "int8")
    ]
    if not guard.allows("int8"):
        warnings.append(f"{guard.says('int8')}; the graph computes in int8 and in nothing else")
    return _in_precision(replace(choice, warning="; ".join(warnings)), "int8")


def _in_precision(choice: Choice, precision: Precision) -> Choice:
    options = dict(choice.options)
    if choice.provider == "tensorrt" and precision != "fp32":
        options[f"trt_{precision}_enable"] = "1"
    return replace(choice, precision=precision, options=options)
