import os
import subprocess
import sys
from pathlib import Path

import pytest

from contract.cgroup import cpu_limit
from contract.hardware import available_cpus, read_cpu_flags
from tests.cgroups import limited, without_threads

COUNT = "from contract.hardware import available_cpus; print(available_cpus())"
# What a training's process counts once its command has begun.
TRAINING = """
import sys
from trainer.cli import main
sys.argv = ["aperture-train", "--help"]
try:
    main()
except SystemExit:
    import torch
    print(torch.get_num_threads())
"""


def test_cpu_flags_are_read_from_cpuinfo(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu amx_bf16 avx512_bf16\n")
    assert read_cpu_flags(cpuinfo) == {"fpu", "amx_bf16", "avx512_bf16"}
    assert read_cpu_flags(tmp_path / "absent") == frozenset()


@pytest.mark.parametrize("program", [COUNT, TRAINING], ids=["contract", "torch"])
def test_the_containers_cpu_limit_counts_not_the_nodes_cores(program: str) -> None:
    if available_cpus() < 2:
        pytest.skip("one CPU alone cannot be limited")
    with limited(0.5) as words:
        process = subprocess.run(
            [*words, sys.executable, "-c", program],
            env=without_threads(os.environ),
            capture_output=True,
            text=True,
            check=False,
        )
    assert process.stdout.splitlines()[-1:] == ["1"], process.stderr


def test_without_a_limit_the_affinity_counts() -> None:
    if cpu_limit() is not None:
        pytest.skip("these tests themselves run under a CPU limit")
    assert available_cpus() == len(os.sched_getaffinity(0))
