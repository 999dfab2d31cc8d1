from pathlib import Path

from contract.hardware import available_cpus, read_cpu_flags


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
