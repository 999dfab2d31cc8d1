"""Segmentation's models by name, from a checkpoint folder or from the hub."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from transformers import PreTrainedModel, ResNetConfig

from contract.errors import OptionsError
from trainer import resnet, segformer
from trainer.dilated_segmenters import HEAD, DeepLab, DilatedSegmenter, Fcn, Psp
from trainer.masks import IGNORED_ID, ignored_id
from trainer.pixel_loss import NO_ID
from trainer.segformer import Segmenter
from trainer.segmentation_hyperparameters import SegmentationHyperparameters
from trainer.weights import Family, labelled, load_pretrained, source_of


@dataclass(frozen=True, slots=True)
class Network:
    """A dilated network by its name.

    Attributes:
        kind: The class of the model.
        backbone: The name of the ResNet in `resnet.SIZES`.
        config: Fields of the configuration that differ from its class's.
    """

    kind: type[DilatedSegmenter]
    backbone: str
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def backbones(self) -> Family:
        """What gives it all weights but its decoder's: a ResNet."""
        return Family({}, {ResNetConfig.model_type: self.kind}, HEAD)


# Ours, for tests and demonstrations on two cores: a small input's eighth has no 12 pixels in a row.
_TINY = {"head_channels": 32}
_TINY_DEEPLAB = {"head_channels": 32, "atrous_rates": (1, 2, 3)}

NETWORKS: Final[Mapping[str, Network]] = {
    "fcn-tiny": Network(Fcn, "resnet-tiny", _TINY),
    "fcn-resnet-50": Network(Fcn, "resnet-50"),
    "fcn-resnet-101": Network(Fcn, "resnet-101"),
    "psp-tiny": Network(Psp, "resnet-tiny", _TINY),
    "psp-resnet-50": Network(Psp, "resnet-50"),
    "psp-resnet-101": Network(Psp, "resnet-101"),
    "deeplab-tiny": Network(DeepLab, "resnet-tiny", _TINY_DEEPLAB),
    "deeplab-resnet-50": Network(DeepLab, "resnet-50"),
    "deeplab-resnet-101": Network(DeepLab, "resnet-101"),
}

FAMILY: Final = Family(
    hub_ids={
        **{name: size.hub_id for name, size in segformer.SIZES.items()},
        **{name: resnet.SIZES[each.backbone].hub_id for name, each in NETWORKS.items()},
    },
    classes={
        **segformer.CLASSES,
        **{kind.config_class.model_type: kind for kind in (Fcn, Psp, DeepLab)},
    },
    head=(*segformer.HEAD, *HEAD),
)


def build_segmenter(wanted: SegmentationHyperparameters, labels: Sequence[str]) -> PreTrainedModel:
    """A model with one output for each of `labels`; a SegFormer's name may lack `segformer-`.

    Of the hub's weights a dilated network takes its ResNet's; its decoder's are random ones.

    Raises:
        OptionsError: `model` is no size, no checkpoint folder, and not asked for from the hub; or
            it cannot be trained on such pictures.
        WeightsUnavailable: The weights cannot be read or fetched.
    """
    if (name := f"segformer-{wanted.model}") in segformer.SIZES:
        wanted = wanted.model_copy(update={"model": name})
    fields = {
        "semantic_loss_ignore_index": NO_ID if ignored_id(labels) is None else IGNORED_ID,
    }
    network = NETWORKS.get(wanted.model)
    model: PreTrainedModel
    if not (source := source_of(FAMILY, wanted)):
        model = _start_anew(wanted.model, labels, fields)
    elif network is None:
        anew = wanted.reinitialize_top_layer
        model = load_pretrained(FAMILY, source, labels, anew, **fields)
    else:
        every = {**network.config, **fields}
        model = load_pretrained(network.backbones, source, labels, **every)
    _check_pictures(model, wanted)
    return model


def output_stride(model: PreTrainedModel) -> int:
    """How many pixels of the input, in a row, one of the logits stands for."""
    return _own(model).output_stride


def _start_anew(
    name: str, labels: Sequence[str], fields: Mapping[str, object]
) -> Segmenter | DilatedSegmenter:
    """A model of random weights."""
    if name in segformer.SIZES:
        config = segformer.config_of(segformer.SIZES[name])
        return Segmenter(labelled(config, labels, **fields))
    network = NETWORKS[name]
    size = resnet.SIZES[network.backbone]
    shape: dict[str, Any] = {
        "layer_type": size.layer_type,
        "depths": list(size.depths),
        "hidden_sizes": list(size.hidden_sizes),
        "embedding_size": size.embedding_size,
    }
    of_network = network.kind.config_class(**shape, **network.config)
    model = network.kind(labelled(of_network, labels, **fields))
    resnet.start_blocks_as_identity(model)
    return model


def _check_pictures(model: PreTrainedModel, wanted: SegmentationHyperparameters) -> None:
    """Refuse sizes that the network does not divide, and batches whose norms have one value."""
    own = _own(model)
    sizes = {"input_size": wanted.input_size, "crop_size": wanted.crop_size}
    problems = [
        f"{name}: got {size}, expected a multiple of {own.input_multiple} for {wanted.model}"
        for name, size in sizes.items()
        if size % own.input_multiple
    ]
    if own.pools_whole_pictures and wanted.per_device_train_batch_size == 1:
        problems.append(
            f"per_device_train_batch_size: got 1, expected at least 2 for {wanted.model}, which "
            "has a batch norm behind the mean of each whole picture"
        )
    if problems:
        raise OptionsError(problems)


def _own(model: PreTrainedModel) -> Segmenter | DilatedSegmenter:
    assert isinstance(model, Segmenter | DilatedSegmenter)  # noqa: S101 - all that FAMILY has
    return model
