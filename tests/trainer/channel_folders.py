"""Channels over folders and pipes, and what a dataset holds wherever it lies."""

import os
import threading
from pathlib import Path

from trainer.datasets.dataset import Dataset
from trainer.sagemaker.channels import Channel

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
