"""overlays/sagemaker: the files of its ConfigMap are a job's, and its mounts are a container's."""

from pathlib import Path
from typing import Any

import pytest

from tests.k8s.pods import trainers_of
from tests.k8s.rendered import kubectl, of_kind, rendered
from trainer.cli import run
from trainer.sagemaker.folders import Folders

pytestmark = kubectl
OVERLAY = "overlays/sagemaker"
NO_DATASET = 1


def mounts() -> dict[str, dict[str, Any]]:
    (pod,) = trainers_of(rendered(OVERLAY))
    return {mount["mountPath"]: mount for mount in pod.main["volumeMounts"]}


def test_every_folder_of_the_container_is_mounted_as_it_is_used() -> None:
    folders, found = Folders(), mounts()
    for folder in (folders.config, folders.data):
        assert found[str(folder)]["readOnly"] is True
    for folder in (folders.model, folders.checkpoints, folders.failure.parent):
        assert not found[str(folder)].get("readOnly")


def test_the_job_has_folders_of_its_own_on_the_volumes_that_others_share() -> None:
    folders, found = Folders(), mounts()
    written = [folders.model, folders.checkpoints, folders.failure.parent]
    places = {(found[str(path)]["name"], found[str(path)]["subPath"]) for path in written}
    assert len(places) == len(written)
    assert {(name, Path(path).parent) for name, path in places} == {
        ("runs", Path("sagemaker/shapes"))
    }


def test_its_words_are_good_and_only_the_data_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pod,) = trainers_of(rendered(OVERLAY))
    (files,) = of_kind(rendered(OVERLAY), "ConfigMap")
    (volume,) = [one for one in pod.spec["volumes"] if one["name"] == "config"]
    assert volume["configMap"]["name"] == files["metadata"]["name"]
    folders = Folders(tmp_path)
    folders.config.mkdir(parents=True)
    for name, text in files["data"].items():
        (folders.config / name).write_text(text, encoding="utf-8")
    for channel in ("train", "validation", "train_lst", "validation_lst"):
        (folders.data / channel).mkdir(parents=True)
    status = run(pod.main["args"], {"SAGEMAKER_BASE_DIR": str(tmp_path)})
    assert status == NO_DATASET
    assert f"{folders.data / 'train_lst'}: the channel train_lst" in capsys.readouterr().err
    assert folders.failure.read_text(encoding="utf-8").startswith("ClientError: ")
