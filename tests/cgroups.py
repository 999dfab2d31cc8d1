"""A real control group with a CPU limit, for a process of a test."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

_PERIOD_US = 100_000


@contextmanager
def limited(cpus: float) -> Iterator[list[str]]:
    """A command's first words, which put it into a group limited to `cpus`; skips without one."""
    root = Path("/sys/fs/cgroup")
    v2 = (root / "cgroup.controllers").is_file()
    group = (root if v2 else root / "cpu") / f"aperture-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as err:
        pytest.skip(f"a control group is made by root alone: {err}")
    try:
        limit = int(cpus * _PERIOD_US)
        files = (
            {"cpu.max": f"{limit} {_PERIOD_US}"}
            if v2
            else {"cpu.cfs_period_us": str(_PERIOD_US), "cpu.cfs_quota_us": str(limit)}
        )
        try:
            for name, text in files.items():
                (group / name).write_text(text)
        except OSError as err:
            pytest.skip(f"control groups have no CPU limit here: {err}")
        yield ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"]
    finally:
        group.rmdir()


def without_threads(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what says a number of threads."""
    return {name: value for name, value in environ.items() if name != "OMP_NUM_THREADS"}
