"""A model of each task as the trainer publishes it, of random weights."""

from pathlib import Path
from typing import Final

import torch

from tests.e2e.random_models import publish_classifier, publish_detector, publish_segmenter

TRAINED: Final = ("classifier", "segmenter", "detector")


def publish_trained(repository: Path) -> None:
    """Export and publish `classifier`, `segmenter` and `detector`; half a minute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two wait for each other where something else takes a core
    publish_classifier(repository, "classifier", "resnet-tiny", 32)
    publish_segmenter(repository, "segmenter", "segformer-tiny", 64)
    publish_detector(repository, "detector", "detr-tiny", 64)
    torch.set_num_threads(threads)
