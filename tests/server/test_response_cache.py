"""The response cache: what it keeps, for how long, and that nobody can tell its answers from runs'."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.pictures import Picture
from server.decoder import Base64Text
from server.instances import PredictRequest
from server.media_types import JSON
from server.record import Record
from server.repository import Control, Repository
from server.request_digest import Files, Inputs, Tensors
from server.response_cache import Part, ResponseCache, part_bytes
from server.sources import find_source
from server.tasks.task import RequestOptions
from server.tensors import InferRequest, RequestedOutput, Tensor, bytes_tensor
from tests.picture_files import as_text, noise_png
from tests.repositories import until
from tests.runtimes import cpu_runtime
from tests.triton.models import write_models

SMALL = part_bytes(Part([{"y": np.zeros(2, np.float32)}]))


def row(number: float) -> Part:
    return Part([{"y": np.full(2, number, np.float32)}])


def tensors(*numbers: float) -> Tensors:
    return Tensors({"x": np.array(numbers, np.float32)})


@dataclass
class Model:
    """Counts its runs, each of which answers a new number."""

    runs: int = 0

    async def __call__(self) -> Part:
        self.runs += 1
        return row(self.runs)


async def number(
    cache: ResponseCache, load: Any, inputs: Inputs, model: Model, record: Record | None = None
) -> float:
    part = await load.recall(inputs, model, record or Record())
    assert cache.used_bytes <= cache.max_bytes
    return float(part.outputs[0]["y"][0])


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 8)), max_size=60),
    st.integers(1, 20),
)
def test_the_longest_unused_go_first_and_the_bytes_are_bounded(
    steps: list[tuple[bool, int, int]], max_bytes: int
) -> None:
    cache = ResponseCache(max_bytes)
    expected: OrderedDict[int, tuple[Part, int]] = OrderedDict()
    evicted = 0
    for keeps, name, size in steps:
        key = (0, bytes([name]))
        if not keeps:
            known = expected.get(name)
            assert cache.find(key) is (known[0] if known else None)
            if known:
                expected.move_to_end(name)
        elif size <= max_bytes:
            part = row(name)
            cache.keep(key, part, size)
            expected.pop(name, None)
            while sum(one[1] for one in expected.values()) + size > max_bytes:
                expected.popitem(last=False)
                evicted += 1
            expected[name] = part, size
        else:
            cache.keep(key, row(name), size)
        assert cache.used_bytes == sum(one[1] for one in expected.values()) <= max_bytes
        assert len(cache) == len(expected)
    assert cache.statistics.evictions == evicted


def test_equal_inputs_are_run_once_and_others_by_themselves() -> None:
    async def scenario() -> None:
        cache, model, record = ResponseCache(10 * SMALL), Model(), Record()
        load = cache.for_load()
        assert await number(cache, load, tensors(1, 2), model, record) == 1
        assert await number(cache, load, tensors(1, 2), model, record) == 1
        assert await number(cache, load, tensors(1, 3), model, record) == 2
        assert (record.cache.hits, record.cache.misses) == (1, 2)
        assert record.cache.ns > 0
        assert (cache.statistics.hits, cache.statistics.misses) == (1, 2)

    asyncio.run(scenario())


def test_a_load_never_sees_the_entries_of_another_and_takes_its_own_along() -> None:
    async def scenario() -> None:
        cache, model = ResponseCache(10 * SMALL), Model()
        old, new = cache.for_load(), cache.for_load()
        assert await number(cache, old, tensors(1), model) == 1
        assert await number(cache, new, tensors(1), model) == 2
        await old.close()
        assert (len(cache), cache.used_bytes) == (1, SMALL)
        assert await number(cache, new, tensors(1), model) == 2
        assert await number(cache, cache.for_load(), tensors(1), model) == 3

    asyncio.run(scenario())


def test_what_fails_or_is_too_large_is_not_kept() -> None:
    async def scenario() -> None:
        cache, model = ResponseCache(SMALL - 1), Model()
        load = cache.for_load()
        assert await number(cache, load, tensors(1), model) == 1
        assert await number(cache, load, tensors(1), model) == 2
        assert len(cache) == 0

        async def fail() -> Part:
            raise ZeroDivisionError

        cache = ResponseCache(SMALL)
        load = cache.for_load()
        with pytest.raises(ZeroDivisionError):
            await load.recall(tensors(1), fail, Record())
        assert await number(cache, load, tensors(1), model) == 3
        assert len(cache) == 1

    asyncio.run(scenario())


def test_base64_that_cannot_be_read_is_left_to_the_run() -> None:
    async def scenario() -> None:
        cache, model, record = ResponseCache(10 * SMALL), Model(), Record()
        load, broken = cache.for_load(), Files([Base64Text("AA=A")])
        assert await number(cache, load, broken, model, record) == 1
        assert await number(cache, load, broken, model, record) == 2
        assert (record.cache.hits, record.cache.misses, len(cache)) == (0, 0, 0)

    asyncio.run(scenario())


@pytest.mark.parametrize("rows", [1, 400_000])
def test_an_entry_is_a_copy_that_cannot_be_written_to(rows: int) -> None:
    """The larger ones are copied in a thread."""
    batch = np.arange(4 * rows, dtype=np.float32).reshape(4, rows)
    strings = np.array([[b"a"], [b"b"]], np.object_)
    sizes = [Picture(np.zeros((0, 0, 3), np.uint8), 3, 4, 3, 4)]

    async def run() -> Part:
        return Part(
            [{"y": batch[:1], "s": strings[:1]}, {"y": batch[1:2], "s": strings[1:]}], sizes
        )

    async def scenario() -> Part:
        load = ResponseCache(2**24).for_load()
        await load.recall(tensors(1), run, Record())
        return await load.recall(tensors(1), run, Record())

    kept = asyncio.run(scenario())
    (outputs,) = kept.outputs
    assert kept.pictures == tuple(sizes)
    assert not np.shares_memory(outputs["y"], batch)
    assert outputs["y"].base is None
    np.testing.assert_array_equal(outputs["y"], batch[:2])
    assert outputs["s"].tolist() == [[b"a"], [b"b"]]
    for array in outputs.values():
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_strings_count_with_their_characters() -> None:
    def part(text: bytes) -> Part:
        return Part([{"y": np.array([text], np.object_)}])

    assert part_bytes(part(b"a" * 5000)) == part_bytes(part(b"")) + 5000


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (tensors(1), tensors(2)),
        (tensors(0.0), tensors(-0.0)),
        (tensors(1), Tensors({"z": np.array([1], np.float32)})),
        (tensors(1), Tensors({"x": np.array([[1]], np.float32)})),
        (Tensors({"x": np.zeros(1, np.int32)}), Tensors({"x": np.zeros(1, np.float32)})),
        (
            Tensors({"x": np.array([b"ab", b"c"], np.object_)}),
            Tensors({"x": np.array([b"a", b"bc"], np.object_)}),
        ),
        (Files([b"ab", b"c"]), Files([b"a", b"bc"])),
        (Files([b"a", b"b"]), Files([b"b", b"a"])),
        (Files([b"x"]), Tensors({"files": np.array([b"x"], np.object_)})),
    ],
)
def test_different_inputs_have_different_digests(one: Inputs, other: Inputs) -> None:
    assert one.digest() != other.digest()


def test_equal_inputs_have_one_digest_however_they_came() -> None:
    assert Files([b"picture"]).digest() == Files([Base64Text("cGlj\ndHVyZQ==")]).digest()
    numbers = np.arange(12, dtype=np.int16).reshape(3, 4)
    odd = np.frombuffer(b"\0" + numbers.tobytes(), np.int16, offset=1).reshape(3, 4)
    column = np.asfortranarray(numbers)
    none = np.zeros((0, 2))
    for same in (odd, column):
        assert (
            Tensors({"b": none, "a": same}).digest() == Tensors({"a": numbers, "b": none}).digest()
        )


CACHED_MODELS = ("colour", "labelled", "strings", "versions")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two repositories of equal models, of which one has a cache; and the loop that they run on."""

    runner: asyncio.Runner
    plain: Repository
    cached: Repository
    cache: ResponseCache


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    root = tmp_path_factory.mktemp("cached") / "repository"
    write_models(root)
    for name in CACHED_MODELS:
        config = root / name / "config.pbtxt"
        config.write_text(config.read_text() + "response_cache { enable: true }\n")
    runtime, cache = cpu_runtime(), ResponseCache(6 * SMALL)
    source, control = find_source(root, None, None), Control("explicit", CACHED_MODELS)
    with asyncio.Runner() as runner:
        plain = Repository(source, runtime, control)
        cached = Repository(source, replace(runtime, response_cache=cache), control)
        for one in (plain, cached):
            runner.run(one.start())
        yield Pair(runner, plain, cached, cache)
        for one in (plain, cached):
            runner.run(one.stop())
    runtime.decoder.stop()


@dataclass(frozen=True, slots=True)
class Ask:
    """A V2 request to a version; or, without inputs, a V1 request of pictures."""

    model: str
    version: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[RequestedOutput, ...] = ()
    pictures: tuple[bytes, ...] = ()


def float_tensor(name: str, numbers: list[list[int]]) -> Tensor:
    array = np.array(numbers, np.float32)
    return Tensor(name, "FP32", array.shape, array)


def rows_of(width: int) -> st.SearchStrategy[list[list[int]]]:
    row = st.sampled_from([list(range(width)), [7] * width, [1, *[0] * (width - 1)]])
    return st.lists(row, min_size=1, max_size=2)


PICTURES = st.lists(
    st.sampled_from([noise_png(0), noise_png(1), b"rubbish"]), min_size=1, max_size=2
)
CLASSES = st.sampled_from([0, 1, 3])
ASKED = st.lists(st.sampled_from(["scores", "plain"]), unique=True, max_size=2)
ASKS = st.one_of(
    st.builds(
        lambda rows, names, classes: Ask(
            "labelled",
            "",
            (float_tensor("values", rows),),
            tuple(RequestedOutput(name, classes) for name in names),
        ),
        *(rows_of(5), ASKED, CLASSES),
    ),
    st.builds(
        lambda version, rows: Ask("versions", version, (float_tensor("number", rows),)),
        *(st.sampled_from(["1", "3", ""]), rows_of(1)),
    ),
    st.builds(
        lambda words: Ask("strings", "", (bytes_tensor("text", [1, 2], words, "strings"),)),
        st.sampled_from([(b"a", b"bc"), (b"ab", b"c"), (b"", b"")]),
    ),
    st.builds(
        lambda files, classes: Ask(
            "colour",
            "",
            (bytes_tensor("image", [len(files)], files, "colour"),),
            (RequestedOutput("scores", classes),),
        ),
        *(PICTURES, CLASSES),
    ),
    st.builds(lambda files: Ask("colour", "", (), pictures=tuple(files)), PICTURES),
)


async def answer(served: Repository, ask: Ask) -> Any:
    with served.find(ask.model).use(ask.version) as version:
        try:
            if not ask.inputs:
                files = tuple(Base64Text(as_text(file)) for file in ask.pictures)
                asked = PredictRequest(files, RequestOptions())
                return await version.make(asked, version.vision_task.labelled()[JSON])
            outputs = await version.infer(InferRequest("", ask.inputs, ask.outputs))
            return {name: (str(one.dtype), one.tolist()) for name, one in outputs.items()}
        except ValueError as err:
            return repr(err)
        except Exception as err:  # both must refuse alike
            return f"{type(err).__name__}: {err}"


def test_a_cached_server_answers_as_one_without(pair: Pair) -> None:
    @settings(max_examples=60, deadline=None)
    @given(asks=st.lists(ASKS, min_size=1, max_size=12))
    def compare(asks: list[Ask]) -> None:
        for ask in asks:
            expected = pair.runner.run(answer(pair.plain, ask))
            for _ in range(2):
                assert pair.runner.run(answer(pair.cached, ask)) == expected

    compare()
    assert pair.cache.statistics.hits > 0
    assert pair.cache.statistics.evictions > 0


def test_unloading_frees_what_was_kept(pair: Pair) -> None:
    ask = Ask("versions", "1", (float_tensor("number", [[5]]),))
    pair.runner.run(answer(pair.cached, ask))
    assert len(pair.cache) > 0
    for name in CACHED_MODELS:
        pair.runner.run(pair.cached.unload(name))
    pair.runner.run(until(lambda: not len(pair.cache)))
    assert pair.cache.used_bytes == 0
