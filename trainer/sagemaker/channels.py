"""The channels of a training job -> a Dataset, for each of the three algorithms."""

from trainer.sagemaker.channel import Channel
from trainer.sagemaker.classification_channels import read_classification
from trainer.sagemaker.detection_channels import read_detection
from trainer.sagemaker.segmentation_channels import read_segmentation

__all__ = ["Channel", "read_classification", "read_detection", "read_segmentation"]
