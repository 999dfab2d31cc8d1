"""Channels over folders and pipes, and what a dataset holds wherever it lies."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

from trainer.datasets.dataset import Dataset
from trainer.sagemaker.channel import Channel

Contents = dict[str, list[tuple[bytes, object]]]


def channel(folder: Path, content_type: str | None = None) -> Channel:
    return Channel(folder.name, folder, content_type, pipe=False, recordio_wrapper=False)


def channels(root: Path, content_type: str | None, *names: str) -> dict[str, Channel]:
    """The channels of these names, a folder each."""
    return {name: channel(root / name, content_type) for name in names}


def contents(dataset: Dataset) -> Contents:
    """Each sample's bytes and target."""
    return {
        split: [(sample.path.read_bytes(), sample.target) for sample in samples]
        for split, samples in dataset.splits.items()
    }


def send(channel: Channel, data: bytes) -> None:
    """Let a channel's pipe of the first epoch bring this."""
    pipe = channel.folder.with_name(f"{channel.name}_0")
    pipe.parent.mkdir(exist_ok=True)
    os.mkfifo(pipe)
    threading.Thread(target=pipe.write_bytes, args=(data,), daemon=True).start()


def write_lists(dataset: Dataset, root: Path, label: Callable[[int], str] = str) -> None:
    """A .lst file for each split, in the dataset's order."""
    for split, samples in dataset.splits.items():
        lines = [
            f"{7 * index}\t{label(int(str(sample.target)))}\t"
            f"{Path(str(sample.path)).relative_to(dataset.root / split)}\n"
            for index, sample in enumerate(samples)
        ]
        (root / f"{split}_lst").mkdir(parents=True)
        (root / f"{split}_lst" / f"{split}.lst").write_text("".join(lines))


def write_manifests(
    dataset: Dataset, root: Path, label: Callable[[int], object], reference: str = "{}"
) -> None:
    """A manifest for each split, which names the dataset's own files."""
    for split, samples in dataset.splits.items():
        (root / split).mkdir(parents=True)
        lines = [
            json.dumps(
                {
                    "source-ref": reference.format(sample.path),
                    "class": label(int(str(sample.target))),
                    "class-metadata": {"class-name": f"digit {sample.target}"},
                }
            )
            for sample in samples
        ]
        (root / split / f"{split}.manifest").write_text("\n".join(lines))
