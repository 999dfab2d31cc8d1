"""A model of each task as the trainer publishes it, of random weights."""

from pathlib import Path
from typing import Final

from tests.e2e.random_models import publish_classifier, publish_detector, publish_segmenter
from tests.trainings import quick_trainings

TRAINED: Final = ("classifier", "segmenter", "detector")


def publish_trained(repository: Path) -> None:
    """Export and publish `classifier`, `segmenter` and `detector`; half a minute."""
    with quick_trainings():
        publish_classifier(repository, "classifier", "resnet-tiny", 32)
        publish_segmenter(repository, "segmenter", "segformer-tiny", 64)
        publish_detector(repository, "detector", "detr-tiny", 64)
