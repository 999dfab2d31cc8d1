"""Repositories in this process, and what a test does to them and asks of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from server.index import IndexRow
from server.repository import Control, Repository
from server.runtime import Runtime
from server.sources import find_source
from server.tensors import InferRequest, tensor_from_json
from tests.tiny_models import publish_colour_model


@asynccontextmanager
async def repository(
    root: Path, runtime: Runtime, control: Control | None = None
) -> AsyncIterator[Repository]:
    """A started repository over `root`."""
    source = find_source(root, None, None)
    served = Repository(source, runtime, control or Control())
    await served.start()
    try:
        yield served
    finally:
        await served.stop()


def explicit(*names: str) -> Control:
    return Control(mode="explicit", load_models=names)


def publish_versions(root: Path, name: str, count: int) -> Path:
    """Publish the colour model `count` times; returns its folder."""
    for _ in range(count):
        publish_colour_model(root, name)
    return root / name


def policy(model_dir: Path, text: str) -> None:
    config = model_dir / "config.pbtxt"
    config.write_text(config.read_text() + f"\nversion_policy {{ {text} }}\n")


def break_version(model_dir: Path, number: int) -> None:
    (model_dir / str(number)).mkdir(parents=True, exist_ok=True)
    (model_dir / str(number) / "model.onnx").write_bytes(b"no model")


def rows(served: Repository) -> dict[str, IndexRow]:
    """The rows of the index, by name and version."""
    return {f"{row.name} {row.version}".strip(): row for row in served.rows(served.names_on_disk())}


def states(served: Repository) -> dict[str, str]:
    return {name: row.state for name, row in rows(served).items()}


def reason(served: Repository, name: str) -> str:
    return rows(served)[name].reason


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop go on until `condition`, for up to half a minute."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  # the index, as a client sees it, has no event
            await asyncio.sleep(0.001)


async def echo(served: Repository, name: str) -> object:
    request = InferRequest("", (tensor_from_json("x", "FP32", [1, 2], [[1.5, 2]]),))
    with served.find(name).use() as version:
        return (await version.infer(request))["y"].tolist()
