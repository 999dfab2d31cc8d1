"""SageMaker's vision algorithms: one file each, and one line each in `ALGORITHMS`."""

from collections.abc import Mapping
from typing import Final

from trainer.sagemaker.hyperparameters import Algorithm
from trainer.sagemaker.image_classification import ImageClassification
from trainer.sagemaker.object_detection import ObjectDetection
from trainer.sagemaker.semantic_segmentation import SemanticSegmentation

ALGORITHMS: Final[Mapping[str, Algorithm]] = {
    "image-classification": Algorithm("image-classification", ImageClassification),
    "semantic-segmentation": Algorithm("semantic-segmentation", SemanticSegmentation),
    "object-detection": Algorithm("object-detection", ObjectDetection),
}
