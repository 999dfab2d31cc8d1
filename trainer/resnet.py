"""ResNet classifiers of transformers, by size name, from a checkpoint folder or from the hub."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import (
    PreTrainedConfig,
    PreTrainedModel,
    ResNetConfig,
    ResNetForImageClassification,
)
from transformers.models.resnet.modeling_resnet import (
    ResNetBasicLayer,
    ResNetBottleNeckLayer,
    ResNetConvLayer,
)

from contract.errors import OptionsError
from trainer.errors import CheckpointError, WeightsUnavailable
from trainer.hyperparameters import Hyperparameters

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Size:
    """The shape of a ResNet; `hub_id` names pretrained weights, if there are any."""

    layer_type: Literal["basic", "bottleneck"]
    depths: tuple[int, ...]
    hidden_sizes: tuple[int, ...]
    embedding_size: int = 64
    hub_id: str = ""


_BASIC = (64, 128, 256, 512)
_BOTTLENECK = (256, 512, 1024, 2048)

SIZES: Final = {
    # ours, a hundredth of ResNet-18, for tests and demonstrations on two cores
    "resnet-tiny": Size("basic", (1, 1, 1), (16, 32, 64), 16),
    "resnet-18": Size("basic", (2, 2, 2, 2), _BASIC, hub_id="microsoft/resnet-18"),
    "resnet-26": Size("bottleneck", (2, 2, 2, 2), _BOTTLENECK, hub_id="microsoft/resnet-26"),
    "resnet-34": Size("basic", (3, 4, 6, 3), _BASIC, hub_id="microsoft/resnet-34"),
    "resnet-50": Size("bottleneck", (3, 4, 6, 3), _BOTTLENECK, hub_id="microsoft/resnet-50"),
    "resnet-101": Size("bottleneck", (3, 4, 23, 3), _BOTTLENECK, hub_id="microsoft/resnet-101"),
    "resnet-152": Size("bottleneck", (3, 8, 36, 3), _BOTTLENECK, hub_id="microsoft/resnet-152"),
}


def build_resnet(wanted: Hyperparameters, labels: Sequence[str]) -> PreTrainedModel:
    """A ResNet with one output for each of `labels`.

    Raises:
        OptionsError: `model` is no size, no checkpoint folder, and not asked for from the hub.
        WeightsUnavailable: The weights cannot be read or fetched.
    """
    source = _source_of(wanted)
    if source:
        return _pretrained(source, labels)
    logger.info("event=random_weights model=%s reason=no_pretrained_weights_asked", wanted.model)
    size = SIZES[wanted.model]
    config = ResNetConfig(
        layer_type=size.layer_type,
        depths=list(size.depths),
        hidden_sizes=list(size.hidden_sizes),
        embedding_size=size.embedding_size,
    )
    model = ResNetForImageClassification(_labelled(config, labels))
    _start_blocks_as_identity(model)
    return model


def load_resnet(folder: Path) -> PreTrainedModel:
    """The fp32 ResNet of a checkpoint folder, in evaluation mode.

    Raises:
        CheckpointError: The folder's files are not those of a ResNet.
    """
    try:
        model: PreTrainedModel = ResNetForImageClassification.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
    except (OSError, ValueError, SafetensorError) as err:
        raise CheckpointError(folder, f"cannot be loaded: {err}") from err
    model.eval()
    return model


def _source_of(wanted: Hyperparameters) -> str:
    """The folder or hub id that weights come from, or nothing for random ones."""
    if (size := SIZES.get(wanted.model)) is not None:
        if wanted.pretrained and not size.hub_id:
            raise OptionsError([f"pretrained: the hub has no weights of {wanted.model}"])
        return size.hub_id if wanted.pretrained else ""
    if (Path(wanted.model) / "config.json").is_file() or wanted.pretrained:
        return wanted.model
    raise OptionsError(
        [
            f"model: got {wanted.model!r}, expected one of {', '.join(SIZES)}, the folder of a "
            "local checkpoint, or a hub id with --pretrained"
        ]
    )


def _pretrained(source: str, labels: Sequence[str]) -> PreTrainedModel:
    try:
        found, _ = PreTrainedConfig.get_config_dict(source)
        if found.get("model_type") != ResNetConfig.model_type:
            raise WeightsUnavailable(source, f"is a {found.get('model_type')}, not a resnet")
        config = _labelled(ResNetConfig.from_pretrained(source), labels)
        # A model and a report with this option, which transformers' types do not know.
        loaded: Any = ResNetForImageClassification.from_pretrained(
            source,
            config=config,
            ignore_mismatched_sizes=True,  # the head of another label set starts anew
            output_loading_info=True,
        )
    except (OSError, ValueError, SafetensorError) as err:
        raise WeightsUnavailable(source, str(err)) from err
    model: PreTrainedModel = loaded[0]
    missing: list[str] = sorted(loaded[1]["missing_keys"])
    if lacking := [key for key in missing if not key.startswith("classifier")]:
        raise WeightsUnavailable(source, f"lacks {len(lacking)} weights, {lacking[0]} among them")
    return model


def _labelled(config: ResNetConfig, labels: Sequence[str]) -> ResNetConfig:
    """The configuration with one output for each of `labels`."""
    config.id2label = dict(enumerate(labels))  # the number of outputs follows from it
    config.label2id = {label: index for index, label in enumerate(labels)}
    config.problem_type = "single_label_classification"
    return config


def _start_blocks_as_identity(model: nn.Module) -> None:
    """Zero the last scale of each residual block, as Goyal et al. 2017 (arXiv 1706.02677) do."""
    for module in model.modules():
        if isinstance(module, ResNetBasicLayer | ResNetBottleNeckLayer):
            last = module.layer[-1]
            assert isinstance(last, ResNetConvLayer)  # noqa: S101 - transformers' own layout
            nn.init.zeros_(last.normalization.weight)
