import os
from collections.abc import Iterator
from multiprocessing.shared_memory import SharedMemory as PosixMemory
from pathlib import Path

import pytest

from contract.model_config import parse_model_config
from server.errors import AlreadyExists, RegionNotFound, RequestError, TooMany, Unsupported
from server.protocol.slots import SlotReader
from server.shared_memory import FOLDER, SharedMemory, Slot

MODEL = parse_model_config(
    """{"name": "m", "max_batch_size": 8, "input": [
    {"name": "x", "data_type": "TYPE_FP32", "dims": [4]},
    {"name": "long", "data_type": "TYPE_FP32", "dims": [-1]}]}"""
)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def content(memory: PosixMemory) -> memoryview:
    assert memory.buf is not None
    return memory.buf


@pytest.fixture
def posix() -> Iterator[PosixMemory]:
    """64 bytes that are 0, 1, ..., 63."""
    memory = PosixMemory(create=True, size=64)
    content(memory)[:64] = bytes(range(64))
    yield memory
    memory.close()
    memory.unlink()


@pytest.fixture
def regions() -> SharedMemory:
    return SharedMemory(allowed=True)


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_region_is_a_window_of_its_file(
    posix: PosixMemory, regions: SharedMemory, slash: str
) -> None:
    regions.register("r", slash + posix.name, 8, 16)
    region = regions.find("r")
    assert bytes(region.read(2, 3)) == bytes([10, 11, 12])
    region.write(1, b"\xff\xfe")
    assert bytes(content(posix)[8:12]) == b"\x08\xff\xfe\x0b"
    row = {"name": "r", "key": slash + posix.name, "offset": 8, "byte_size": 16}
    assert regions.status() == regions.status("r") == [row]


def test_a_range_outside_of_its_region_is_refused(
    posix: PosixMemory, regions: SharedMemory
) -> None:
    regions.register("r", posix.name, 8, 16)
    region = regions.find("r")
    region.check(0, 16)
    with pytest.raises(RequestError, match="Invalid offset for shared memory region: 'r'"):
        region.check(16, 0)
    with pytest.raises(RequestError, match=r"Invalid offset \+ byte size"):
        region.check(1, 16)
    with pytest.raises(RequestError, match=r"Invalid offset \+ byte size"):
        region.check(0, 0)
    region.check(1, 0)


@pytest.mark.parametrize(("offset", "size"), [(0, 65), (60, 5), (64, 1), (0, 0), (1 << 63, 1)])
def test_a_region_outside_of_its_file_is_refused(
    posix: PosixMemory, regions: SharedMemory, offset: int, size: int
) -> None:
    with pytest.raises(RequestError, match="failed to register shared memory region 'r'"):
        regions.register("r", posix.name, offset, size)
    assert regions.status() == []


def test_a_name_is_taken_once_and_free_again(posix: PosixMemory, regions: SharedMemory) -> None:
    regions.register("r", posix.name, 0, 8)
    with pytest.raises(AlreadyExists, match="shared memory region 'r' already in manager"):
        regions.register("r", posix.name, 8, 8)
    regions.unregister("r")
    regions.unregister("r")
    with pytest.raises(RegionNotFound, match="Unable to find system shared memory region: 'r'"):
        regions.status("r")
    regions.register("r", posix.name, 8, 8)
    regions.unregister()
    assert regions.status() == []


@pytest.mark.parametrize(
    "key",
    [
        *("", "/", ".", "..", "../etc/passwd", "/../etc/passwd", "a/b", "//etc/passwd"),
        *("x\0", "\ud800", "none-of-that-name", "x" * 300),
    ],
)
def test_a_key_is_a_name_in_dev_shm_alone(regions: SharedMemory, key: str) -> None:
    with pytest.raises(RequestError, match="Unable to open shared memory region"):
        regions.register("r", key, 0, 1)


def test_links_and_folders_and_pipes_are_no_shared_memory(
    tmp_path: Path, regions: SharedMemory
) -> None:
    (tmp_path / "secret").write_text("secret")
    names = [FOLDER / f"aperture-test-{os.getpid()}-{kind}" for kind in ("link", "dir", "pipe")]
    names[0].symlink_to(tmp_path / "secret")
    names[1].mkdir()
    os.mkfifo(names[2])
    try:
        for path in names:
            with pytest.raises(RequestError, match="Unable to open shared memory region"):
                regions.register("r", path.name, 0, 1)
    finally:
        names[0].unlink()
        names[1].rmdir()
        names[2].unlink()


def test_a_file_cut_short_is_an_error_and_not_the_end_of_the_process(
    posix: PosixMemory, regions: SharedMemory
) -> None:
    regions.register("r", posix.name, 0, 64)
    os.truncate(FOLDER / posix.name, 10)
    with pytest.raises(RequestError, match="holds 10 of 64 bytes"):
        regions.find("r").read(0, 64)
    with pytest.raises(RequestError, match="holds 2 of 4 bytes"):
        regions.find("r").write(8, b"1234")
    assert (FOLDER / posix.name).stat().st_size == 10  # nor has the write grown it again


def test_a_region_in_use_outlives_its_registration(
    posix: PosixMemory, regions: SharedMemory
) -> None:
    before = open_files()
    regions.register("r", posix.name, 0, 64)
    region = regions.find("r")
    regions.unregister("r")
    assert bytes(region.read(0, 2)) == b"\x00\x01"
    del region
    assert open_files() == before


def test_without_leave_nothing_is_registered(posix: PosixMemory) -> None:
    regions = SharedMemory(allowed=False)
    with pytest.raises(Unsupported, match="--allow_shared_memory"):
        regions.register("r", posix.name, 0, 8)
    regions.unregister()
    assert regions.status() == []


def test_what_is_more_than_one_call_takes_is_read_and_written_whole(
    posix: PosixMemory, regions: SharedMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux reads 2 GiB at most."""
    monkeypatch.setattr("server.shared_memory._PIECE", 7)
    regions.register("r", posix.name, 0, 64)
    assert bytes(regions.find("r").read(1, 60)) == bytes(range(1, 61))
    regions.find("r").write(2, bytes(range(100, 150)))
    assert bytes(content(posix)[:64]) == bytes([0, 1, *range(100, 150), *range(52, 64)])


@pytest.fixture
def holes(regions: SharedMemory) -> Iterator[Slot]:
    """All of a region that is a file of a TiB, of holes."""
    path = FOLDER / f"aperture-test-{os.getpid()}-holes"
    path.touch()
    try:
        os.truncate(path, 1 << 40)
        regions.register("r", path.name, 0, 1 << 40)
        yield regions.slot("r", 0, 1 << 40)
    finally:
        path.unlink()


def test_a_tensor_of_another_size_than_its_memory_is_not_read(
    regions: SharedMemory, holes: Slot
) -> None:
    reader = SlotReader(regions, MODEL, "")
    with pytest.raises(RequestError, match=r"Expected 4, got 1099511627776$"):
        reader.tensor("x", "FP32", [1, 1], holes)
    with pytest.raises(TooMany, match="274877906944 string elements"):
        reader.tensor("x", "BYTES", [1 << 38], holes)


@pytest.mark.parametrize(
    ("tensor", "problem"),
    [
        (("z", "FP32", [1 << 36, 4]), "unexpected inference input 'z' for model 'm'"),
        (("x", "INT32", [1, 1 << 38]), r"\[request id: 7\] .* data-type is 'INT32', but model 'm'"),
        (("x", "FP32", [1, 1 << 38]), r"Expected \[-1,4\], got \[1,274877906944\]"),
        (
            ("x", "FP32", [1 << 36, 4]),
            "68719476736 batch rows; the limit of this server is 1048576",
        ),
        (
            ("long", "FP32", [1, 1 << 38]),
            "1099511627776 bytes of inputs in shared memory .* 67108864",
        ),
    ],
)
def test_a_tensor_that_is_none_of_the_models_or_too_large_is_not_read(
    regions: SharedMemory, holes: Slot, tensor: tuple[str, str, list[int]], problem: str
) -> None:
    with pytest.raises(RequestError, match=problem):
        SlotReader(regions, MODEL, "7").tensor(*tensor, holes)


def test_the_inputs_of_a_request_are_limited_together(posix: PosixMemory) -> None:
    regions = SharedMemory(allowed=True, most_bytes=40)
    regions.register("r", posix.name, 0, 64)
    slot = regions.slot("r", 0, 32)
    reader = SlotReader(regions, MODEL, "")
    assert reader.tensor("x", "FP32", [2, 4], slot).array is not None
    with pytest.raises(TooMany, match="request has 64 bytes of inputs in shared memory"):
        reader.tensor("long", "FP32", [2, 4], slot)


def test_regions_are_limited_as_each_has_a_descriptor(posix: PosixMemory) -> None:
    regions = SharedMemory(allowed=True, most_regions=2)
    used = [regions.in_use]
    regions.register("a", posix.name, 0, 8)
    regions.register("b", posix.name, 0, 8)
    assert [*used, regions.in_use] == [False, True]
    with pytest.raises(RequestError, match="region 'c': 2 are registered, the limit"):
        regions.register("c", posix.name, 0, 8)
    regions.unregister("a")
    regions.register("c", posix.name, 0, 8)
