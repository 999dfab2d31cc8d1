"""A small model of each kind, for what holds of all of them."""

from dataclasses import dataclass

from trainer.tasks import TaskName

LABELS = ("a", "b")


@dataclass(frozen=True, slots=True)
class Kind:
    """A small model of a task, and names of a weight before its head and of one in it.

    `stored` is what transformers calls the first of them in a file.
    """

    task: TaskName
    size: str
    weight: str
    stored: str
    head: str


KINDS = (
    Kind(
        "image-classification",
        "resnet-tiny",
        "resnet.embedder.embedder.convolution.weight",
        "resnet.embedder.embedder.convolution.weight",
        "classifier.1.weight",
    ),
    Kind(
        "semantic-segmentation",
        "segformer-tiny",
        "segformer.stages.0.patch_embeddings.proj.weight",
        "segformer.encoder.patch_embeddings.0.proj.weight",
        "decode_head.classifier.weight",
    ),
    Kind(
        "semantic-segmentation",
        "psp-tiny",
        "resnet.embedder.embedder.convolution.weight",
        "resnet.embedder.embedder.convolution.weight",
        "decode_head.head.2.weight",
    ),
    Kind(
        "object-detection",
        "detr-tiny",
        "bbox_predictor.layers.0.weight",
        "bbox_predictor.layers.0.weight",
        "class_labels_classifier.weight",
    ),
    Kind(
        "object-detection",
        "rtdetr-v2-tiny",
        "model.enc_bbox_head.layers.0.weight",
        "model.enc_bbox_head.layers.0.weight",
        "model.enc_score_head.weight",
    ),
    Kind(
        "object-detection",
        "dfine-tiny",
        "model.enc_bbox_head.layers.0.weight",
        "model.enc_bbox_head.layers.0.weight",
        "model.enc_score_head.weight",
    ),
)
