"""train-distributed's TrainJob rehearsed: two nodes learn what one process would.

The command, the flags and the variables are the manifests' and the torch plug-in's; the folders are the
test's. The model is a DETR with frozen batch norms and without dropout, every picture has one object:
then nothing depends on which pictures share a process, and two nodes of four pictures a step are one
process of eight.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from transformers import DetrConfig, set_seed

from tests.k8s.nodes import run_on, two_nodes
from tests.k8s.pods import torch_variables, trainers_of
from tests.k8s.rendered import kubectl, of_kind, rendered
from tests.trainer.coco_folders import write_coco_folder
from trainer.cli import run
from trainer.detector_sizes import SIZES
from trainer.padded_detectors import PaddedDetrForObjectDetection

GLOBAL_BATCH = 8
NODES = 2


def write_weights(folder: Path) -> Path:
    """A tiny DETR of random weights, without dropout."""
    set_seed(3)
    config = DetrConfig(**{**SIZES["detr-tiny"].config, "dropout": 0.0})
    PaddedDetrForObjectDetection(config).save_pretrained(folder)
    return folder


def write_pictures(folder: Path) -> Path:
    """A dataset in COCO's layout, of one object a picture."""
    write_coco_folder(folder, {"train": 32, "validation": 9, "test": 8})
    for path in folder.glob("*/_annotations.coco.json"):
        coco = json.loads(path.read_text(encoding="utf-8"))
        first = {one["image_id"]: one for one in reversed(coco["annotations"])}
        path.write_text(json.dumps(coco | {"annotations": [*first.values()]}), encoding="utf-8")
    return folder


def flags(data: Path, weights: Path, folder: Path, batch_size: int) -> list[str]:
    """A fit below `folder`."""
    return [
        "fit",
        "--task=object-detection",
        f"--data={data}",
        f"--model={weights}",
        f"--model_repository={folder}/models",
        "--name=things",
        f"--output_dir={folder}/runs",
        "--input_size=64",
        "--augmentation=none",
        "--precision=fp32",
        "--learning_rate=0.001",
        "--num_train_epochs=2",
        f"--per_device_train_batch_size={batch_size}",
    ]


def measured(folder: Path) -> dict[str, Any]:
    """The metrics of a run: of each epoch and of each split."""
    metrics = json.loads((folder / "runs" / "metrics.json").read_text(encoding="utf-8"))
    epochs = {
        f"{index}/{name}": value
        for index, epoch in enumerate(metrics["epochs"])
        for name, value in epoch.items()
    }
    splits = {
        f"{split}/{name}": value
        for split, values in metrics["splits"].items()
        for name, value in values.items()
    }
    return epochs | splits


@kubectl
@pytest.mark.slow
def test_two_nodes_of_a_train_job_learn_what_one_process_does(tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data")
    weights = write_weights(tmp_path / "weights")
    alone, together = tmp_path / "alone", tmp_path / "together"
    assert run(flags(data, weights, alone, GLOBAL_BATCH), {}) == 0

    manifests = rendered("overlays/train-distributed")
    (job,) = of_kind(manifests, "TrainJob")
    (pod,) = trainers_of(manifests)
    assert job["spec"]["trainer"]["numNodes"] == NODES
    name = job["metadata"]["name"]
    program = Path(sys.executable).with_name(pod.main["command"][0])
    assert program.is_file()
    command = [str(program), *pod.main["command"][1:]]
    with two_nodes(f"{name}-node-0-0.{name}") as nodes:
        variables = [torch_variables(job, rank, nodes.master) for rank in range(NODES)]
        arguments = flags(data, weights, together, GLOBAL_BATCH // NODES)
        said = run_on(nodes, [*command, *arguments], variables, tmp_path / "logs")
    assert ["published " in text for text in said] == [True, False]  # by the first node alone

    expected, found = measured(alone), measured(together)
    assert found.keys() == expected.keys()
    assert expected["1/validation_loss"] < expected["0/validation_loss"]  # it does learn
    assert found == pytest.approx(expected, rel=1e-4)
