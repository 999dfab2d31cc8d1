"""The detectors of SageMaker's Object Detection - TensorFlow, and which one stands for each here.

TensorFlow's SSDs do not exist here. For each id stands a detector of transformers with the id's own
input side, of the same backbone where there is one, else of about as many parameters or more; those
of EfficientDet are its paper's (Tan et al. 2020, arXiv 1911.09070). SageMaker's guide calls some
models large without saying which; here they are those of an input above 768 pixels. Plain data:
nothing is imported.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

PREFIX: Final = "tensorflow-od1-ssd-"

_LARGEST_OF_THE_SMALL: Final = 768


@dataclass(frozen=True, slots=True)
class DetectionModel:
    """What stands for a model id.

    Attributes:
        detector: The detector's name in `detector_sizes.SIZES`.
        side: Height and width of its input in pixels.
        reason: Why this detector.
    """

    detector: str
    side: int
    reason: str

    @property
    def is_large(self) -> bool:
        """Whether a job that does not say otherwise trains its head alone, for one epoch."""
        return self.side > _LARGEST_OF_THE_SMALL


_NANO = "the smallest detector, 3.8 M parameters"
_R50 = "the same backbone, ResNet-50; 42.9 M parameters"
_R101 = "the same backbone, ResNet-101; 76.7 M parameters"
_R152 = "the largest ResNet of a detector, ResNet-101; 76.7 M parameters"

_MODELS: Final[Mapping[str, DetectionModel]] = {
    "resnet50-v1-fpn-640x640-coco17-tpu-8": DetectionModel("rtdetr-v2-r50", 640, _R50),
    "efficientdet-d0-512x512-coco17-tpu-8": DetectionModel(
        "dfine-nano", 512, "3.8 M parameters for 3.9 M"
    ),
    "efficientdet-d1-640x640-coco17-tpu-8": DetectionModel(
        "dfine-small", 640, "10.3 M parameters for 6.6 M"
    ),
    "efficientdet-d2-768x768-coco17-tpu-8": DetectionModel(
        "dfine-small", 768, "10.3 M parameters for 8.1 M"
    ),
    "efficientdet-d3-896x896-coco17-tpu-32": DetectionModel(
        "dfine-medium", 896, "19.6 M parameters for 12 M"
    ),
    "mobilenet-v1-fpn-640x640-coco17-tpu-8": DetectionModel(
        "dfine-small", 640, "a small detector, 10.3 M parameters"
    ),
    "mobilenet-v2-fpnlite-320x320-coco17-tpu-8": DetectionModel("dfine-nano", 320, _NANO),
    "mobilenet-v2-fpnlite-640x640-coco17-tpu-8": DetectionModel("dfine-nano", 640, _NANO),
    "resnet50-v1-fpn-1024x1024-coco17-tpu-8": DetectionModel("rtdetr-v2-r50", 1024, _R50),
    "resnet101-v1-fpn-640x640-coco17-tpu-8": DetectionModel("rtdetr-v2-r101", 640, _R101),
    "resnet101-v1-fpn-1024x1024-coco17-tpu-8": DetectionModel("rtdetr-v2-r101", 1024, _R101),
    "resnet152-v1-fpn-640x640-coco17-tpu-8": DetectionModel("rtdetr-v2-r101", 640, _R152),
    "resnet152-v1-fpn-1024x1024-coco17-tpu-8": DetectionModel("rtdetr-v2-r101", 1024, _R152),
}

DETECTION_MODELS: Final[Mapping[str, DetectionModel]] = {
    f"{PREFIX}{name}": model for name, model in _MODELS.items()
}
DEFAULT_MODEL: Final = f"{PREFIX}resnet50-v1-fpn-640x640-coco17-tpu-8"
