"""What the project's copies of SageMaker's documents say of jobs, to the letter."""

import re

import pytest

from tests.trainer.sagemaker.documents import document
from tests.trainer.sagemaker.job import asked
from trainer.sagemaker.detection_models import DEFAULT_MODEL, DETECTION_MODELS, PREFIX
from trainer.sagemaker.object_detection import ObjectDetection
from trainer.tasks import TaskName


def test_the_detection_model_of_the_example_is_the_default() -> None:
    text = document("seeds", "sagemaker_object_detection_ja.txt")
    (model_id,) = set(re.findall(r'model_id, model_version = "([^"]+)"', text))
    assert model_id == DEFAULT_MODEL


def test_the_hyperparameter_of_the_detection_example_is_read() -> None:
    text = document("seeds", "sagemaker_object_detection_ja.txt")
    ((name, value),) = re.findall(r'^hyperparameters\["(\w+)"\] = "([^"]*)"$', text, re.MULTILINE)
    assert ObjectDetection.parse({name: value}).recipe().num_train_epochs == 5


def test_the_guide_lists_the_detection_models() -> None:
    text = document("guide", "contracts.md").partition("### 3.6")[2].partition("\n---")[0]
    names = re.findall(r"[\w-]+-coco17-tpu-\d+", text)
    assert {f"{PREFIX}{name}" for name in names} == set(DETECTION_MODELS)


@pytest.mark.parametrize(
    ("algorithm", "seed"),
    [
        ("image-classification", "sagemaker_image_classification_ja.txt"),
        ("semantic-segmentation", "sagemaker_semantic_segmentation_ja.txt"),
    ],
)
def test_incremental_training_compares_what_the_guide_names(algorithm: TaskName, seed: str) -> None:
    _, _, section = document("seeds", seed).rpartition("段階的トレーニング\n")
    paragraph = next(part for part in section.splitlines() if "ChannelName" in part)
    for name in asked(algorithm).architecture():  # which stand there without a space between them
        assert name in paragraph
