"""A whole job of several classes a picture, whose records come through FIFOs."""

import json
from pathlib import Path

import pytest

from tests.trainer.recordio import image_record
from tests.trainer.sagemaker.channel_folders import channel, send
from tests.trainer.sagemaker.containers import (
    CLASSES,
    failure,
    train,
    write_channels,
    write_container,
)
from trainer.datasets.image_list import read_image_list
from trainer.sagemaker.folders import Folders

PIPE = {"ContentType": "application/x-recordio", "TrainingInputMode": "Pipe"}


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """A job whose two channels are pipes alone; each picture is of its class and of the last one."""
    folders = write_container(tmp_path / "raw", multi_label="1", use_weighted_loss="1")
    base = Folders(tmp_path / "ml")
    base.config.mkdir(parents=True)
    for path in folders.config.iterdir():
        path.rename(base.config / path.name)
    base.data.mkdir()
    for split in ("train", "validation"):
        listed = read_image_list(folders.data / f"{split}_lst" / "files.lst", folders.data / split)
        records = []
        for entry in listed:
            assert isinstance(entry.annotation, tuple)
            classes = {int(entry.annotation[0]), CLASSES - 1}
            hot = [float(index in classes) for index in range(CLASSES)]
            records.append(image_record(hot, entry.picture.read_bytes()))
        send(channel(base.data / split), b"".join(records))
    write_channels(base, {"train": PIPE, "validation": PIPE})
    return base


def test_pipes_of_multi_label_records_train_a_multi_label_model(folders: Folders) -> None:
    assert train(folders) == 0, failure(folders)
    assert not (folders.data / "train").exists(), "there is no file of the channel"
    config = (folders.model / "model" / "config.pbtxt").read_text()
    assert 'key: "multi_label"' in config
    metrics = json.loads((folders.output_data / "metrics.json").read_text())
    assert 0 <= metrics["splits"]["validation"]["accuracy"] <= 1
