"""The CPU limit of this process's control groups, which is the container's or pod's limit.

The kernel's interface files go in, a number of CPUs comes out. A limit of any enclosing group holds
too, so the smallest counts. In a container the own group is as a rule the root of what is mounted,
whatever /proc/self/cgroup calls it: a path that is not there is passed over.

Sources: https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files,
https://docs.kernel.org/scheduler/sched-bwc.html (version 1)
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

ROOT: Final = Path("/sys/fs/cgroup")
MEMBERSHIP: Final = Path("/proc/self/cgroup")


def cpu_limit(root: Path = ROOT, membership: Path = MEMBERSHIP) -> float | None:
    """CPUs that this process's control groups may use, such as 1.5; None without a limit."""
    folders = _folders(root, _read(membership))
    limits = [limit for folder in folders if (limit := _limit(folder)) is not None]
    return min(limits, default=None)


def _folders(root: Path, membership: str) -> Iterator[Path]:
    """The folders of this process's groups and of those around them, of both versions."""
    yield root
    yield root / "cpu"
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            mounts = [root, root / "unified"]
        elif "cpu" in controllers.split(","):
            mounts = [root / "cpu", root / controllers]
        else:
            continue
        group = PurePosixPath(path.lstrip("/"))
        yield from (mount / part for mount in mounts for part in (group, *group.parents))


def _limit(folder: Path) -> float | None:
    """The limit that one group's files state, in CPUs."""
    quota, _, period = _read(folder / "cpu.max").strip().partition(" ")
    if not quota:
        quota = _read(folder / "cpu.cfs_quota_us").strip()
        period = _read(folder / "cpu.cfs_period_us").strip()
    if not (quota.isdigit() and period.isdigit() and int(period)):  # max, -1, or no such file
        return None
    return int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
