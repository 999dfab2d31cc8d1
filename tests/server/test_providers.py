from pathlib import Path

import pytest

from server.errors import LoadError
from server.hardware import available_cpus, read_cpu_flags
from server.providers import Machine, choose

AMX = frozenset({"amx_bf16", "sse2"})
PLAIN = frozenset({"sse2"})


@pytest.mark.parametrize(
    ("machine", "asked", "chosen", "reason"),
    [
        (Machine(False, True, AMX), ("auto", "auto"), ("openvino", "bf16"), "amx_bf16"),
        (Machine(False, True, PLAIN), ("auto", "auto"), ("cpu", "fp32"), "none of amx_bf16"),
        (Machine(False, False, AMX), ("auto", "auto"), ("cpu", "fp32"), "is not installed"),
        (Machine(True, True, AMX), ("auto", "auto"), ("cuda", "fp32"), "CUDA device"),
        (Machine(True, True, AMX), ("cpu", "auto"), ("cpu", "fp32"), "asked for"),
        (Machine(False, True, AMX), ("auto", "fp32"), ("cpu", "fp32"), "fp32 was asked for"),
        (Machine(False, True, AMX), ("openvino", "fp32"), ("openvino", "fp32"), "asked for"),
        (Machine(False, True, PLAIN), ("openvino", "auto"), ("openvino", "fp32"), "asked for"),
    ],
)
def test_choice(
    machine: Machine, asked: tuple[str, str], chosen: tuple[str, str], reason: str
) -> None:
    choice = choose(machine, *asked)
    assert (choice.provider, choice.precision) == chosen
    assert reason in choice.reason


@pytest.mark.parametrize(
    ("machine", "asked", "message"),
    [
        (Machine(False, True, AMX), ("cuda", "auto"), "no CUDA device"),
        (Machine(False, False, AMX), ("openvino", "auto"), "pip install onnxruntime-ep-openvino"),
        (Machine(False, True, PLAIN), ("auto", "bf16"), "the CPU has none of"),
        (Machine(False, True, AMX), ("cpu", "bf16"), "needs provider openvino"),
        (Machine(True, True, AMX), ("cuda", "bf16"), "cuda serves fp32"),
    ],
)
def test_what_the_machine_lacks_is_refused(
    machine: Machine, asked: tuple[str, str], message: str
) -> None:
    with pytest.raises(LoadError, match=message):
        choose(machine, *asked)


def test_cpu_flags_are_read_from_cpuinfo(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu amx_bf16 avx512_bf16\n")
    assert read_cpu_flags(cpuinfo) == {"fpu", "amx_bf16", "avx512_bf16"}
    assert read_cpu_flags(tmp_path / "absent") == frozenset()


def test_the_containers_cpu_limit_counts_not_the_nodes_cores(tmp_path: Path) -> None:
    cpu_max = tmp_path / "cpu.max"
    cpu_max.write_text("50000 100000\n")
    assert available_cpus(cpu_max) == 1
    unlimited = available_cpus(tmp_path / "absent")
    cpu_max.write_text("max 100000\n")
    assert available_cpus(cpu_max) == unlimited
