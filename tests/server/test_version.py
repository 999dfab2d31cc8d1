"""A loaded version in this process: what it refuses to answer."""

import asyncio
from pathlib import Path

import pytest

from server import version as versions
from server.errors import AnswerTooLarge
from server.runtime import Runtime
from server.tensors import InferRequest, tensor_from_json
from tests.onnx_graphs import write_expanding
from tests.repositories import repository


@pytest.mark.parametrize(("datatype", "size"), [("UINT8", 1), ("BYTES", 100)])
def test_an_answer_is_limited_by_what_it_holds(
    tmp_path: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, datatype: str, size: int
) -> None:
    """A graph says nothing of the length of its strings, nor of an axis that it counts itself."""
    monkeypatch.setattr(versions, "MAX_ANSWER_BYTES", 10 * size)
    value = 7 if datatype == "UINT8" else "ä" * 48  # behind 4 bytes
    write_expanding(tmp_path / "wide" / "1" / "model.onnx", datatype, value)

    async def run() -> None:
        async with repository(tmp_path, runtime) as served:
            version = served.find("wide").version()
            for count in (10, 11):
                request = InferRequest("", (tensor_from_json("count", "INT64", [1], [count]),))
                if count == 11:
                    with pytest.raises(AnswerTooLarge, match=f"over {10 * size} bytes"):
                        await version.infer(request)
                else:
                    assert len((await version.infer(request))["y"]) == count
            ended = version.statistics.success, version.statistics.fail
            assert [duration.count for duration in ended] == [1, 1]

    asyncio.run(run())
