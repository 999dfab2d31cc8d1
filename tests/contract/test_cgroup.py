from pathlib import Path

import pytest

from contract.cgroup import cpu_limit


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("files", "membership", "limit"),
    [
        ({"cpu.max": "150000 100000\n"}, "0::/\n", 1.5),
        ({"cpu.max": "max 100000\n"}, "0::/\n", None),
        ({}, "0::/\n", None),
        ({}, "", None),
        # The container's own group is the root of what is mounted, whatever it is called outside.
        ({"cpu.max": "200000 100000\n"}, "0::/kubepods/pod1/abc\n", 2.0),
        # Not in a container: the own group's files, and those around it, which hold too.
        ({"a/b/cpu.max": "400000 100000\n"}, "0::/a/b\n", 4.0),
        ({"a/b/cpu.max": "400000 100000\n", "a/cpu.max": "300000 100000\n"}, "0::/a/b\n", 3.0),
        ({"a/b/cpu.max": "100000 100000\n"}, "0::/a\n", None),
        # Version 1, alone and in one hierarchy with another controller.
        (
            {"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"},
            "4:cpu,cpuacct:/docker/abc\n3:memory:/m\n",
            0.5,
        ),
        (
            {"cpu/g/cpu.cfs_quota_us": "250000\n", "cpu/g/cpu.cfs_period_us": "100000\n"},
            "1:cpu:/g\n0::/\n",
            2.5,
        ),
        (
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
            "1:cpu:/\n",
            None,
        ),
        (
            {"cpu,cpuacct/g/cpu.cfs_quota_us": "7", "cpu,cpuacct/g/cpu.cfs_period_us": "2"},
            "1:cpu,cpuacct:/g\n",
            3.5,
        ),
        ({"cpu/cpu.cfs_quota_us": "1", "cpu/cpu.cfs_period_us": "0"}, "1:cpu:/\n", None),
    ],
)
def test_the_smallest_limit_of_the_groups_around_a_process_counts(
    tmp_path: Path, files: dict[str, str], membership: str, limit: float | None
) -> None:
    write(tmp_path / "cgroup", files)
    (tmp_path / "self").write_text(membership)
    assert cpu_limit(tmp_path / "cgroup", tmp_path / "self") == limit
