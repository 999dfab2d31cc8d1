"""Weights on the disk or on the hub -> a model: the one way for all families of models.

transformers starts anew whatever a source lacks, and only warns. Here a source must be of the
family and give every weight of the model, except, for a training, those that depend on the
labels: a model that is called pretrained has no random layer that nobody asked for.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from safetensors import SafetensorError
from transformers import PreTrainedConfig, PreTrainedModel

from contract.errors import OptionsError
from trainer.errors import CheckpointError, WeightsUnavailable
from trainer.hyperparameters import Hyperparameters
from trainer.recipe import Reinitialize

_LONGEST_REASON: Final = 300

# A batch norm's count of batches is no weight: transformers' frozen norms do not save it.
_COUNTER: Final = "num_batches_tracked"

ConfigT = TypeVar("ConfigT", bound=PreTrainedConfig)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Family:
    """The models that a task may start from.

    Attributes:
        hub_ids: The hub's weights of each size by the size's name; "" where there are none.
        classes: The class of the models of each `model_type`.
        head: How the names of the weights begin that depend on the labels.
        revisions: The branch of hub ids by how they begin, where it is not the main one.
    """

    hub_ids: Mapping[str, str]
    classes: Mapping[str, type[PreTrainedModel]]
    head: tuple[str, ...]
    revisions: Mapping[str, str] = field(default_factory=dict)


def source_of(family: Family, wanted: Hyperparameters) -> str:
    """The folder or hub id that weights come from, or nothing for random ones.

    Raises:
        OptionsError: `model` is no size, no checkpoint folder, and not asked for from the hub.
    """
    model = wanted.model
    if (hub_id := family.hub_ids.get(model)) is not None:
        if wanted.pretrained and not hub_id:
            raise OptionsError([f"pretrained: the hub has no weights of {model}"])
        if not wanted.pretrained:
            logger.info("event=random_weights model=%s reason=no_pretrained_weights_asked", model)
        return hub_id if wanted.pretrained else ""
    if (Path(model) / "config.json").is_file() or wanted.pretrained:
        return model
    raise OptionsError(
        [
            f"model: got {model!r}, expected one of {', '.join(family.hub_ids)}, the folder of a "
            "local checkpoint, or a hub id with --pretrained"
        ]
    )


def load_pretrained(
    family: Family,
    source: str,
    labels: Sequence[str],
    reinitialize: Reinitialize = "auto",
    **config: object,
) -> PreTrainedModel:
    """The fp32 model of a folder or hub id, whose head starts anew where its labels are others.

    Args:
        family: What it must be.
        source: The folder or the hub id.
        labels: The labels to train on.
        reinitialize: Whether the head starts anew in any case, or in none.
        config: Further fields of the model's configuration.

    Raises:
        WeightsUnavailable: The files cannot be read or fetched, are of another family, or lack
            weights other than the head's.
    """
    revision = next(
        (branch for start, branch in family.revisions.items() if source.startswith(start)), "main"
    )
    try:
        kind = _class_of(family, source, revision=revision)
        assert kind.config_class is not None  # noqa: S101 - it is of every model that is no base
        found: Any = kind.config_class.from_pretrained(source, revision=revision)
        known = [found.id2label[index] for index in sorted(found.id2label)] == list(labels)
        anew = reinitialize == "true" or (reinitialize == "auto" and not known)
        configured = labelled(found, labels, **config)
        head = () if reinitialize == "false" else family.head
        model = _load(kind, source, head, config=configured, revision=revision)
        if not anew:
            return model
        logger.info("event=new_head source=%s reason=%s", source, "asked" if known else "labels")
        return _with_new_head(model, family.head)
    except MemoryError:
        raise
    except Exception as err:  # transformers raises whatever a broken file makes it meet
        raise WeightsUnavailable(source, _reason(err)) from err


def load_checkpoint(family: Family, folder: Path) -> PreTrainedModel:
    """The fp32 model of a checkpoint folder, in evaluation mode.

    Raises:
        CheckpointError: The files cannot be read, are of another family, or lack weights.
    """
    try:
        kind = _class_of(family, folder, local_files_only=True)
        model = _load(kind, folder, (), local_files_only=True, use_safetensors=True)
    except MemoryError:
        raise
    except Exception as err:  # as above
        raise CheckpointError(folder, f"cannot be loaded: {_reason(err)}") from err
    model.eval()
    return model


def labelled(config: ConfigT, labels: Sequence[str], **fields: object) -> ConfigT:
    """The configuration with one output for each of `labels`, and further fields."""
    config.id2label = dict(enumerate(labels))  # the number of outputs follows from it
    config.label2id = {label: index for index, label in enumerate(labels)}
    for name, value in fields.items():
        setattr(config, name, value)
    return config


def _class_of(family: Family, source: str | Path, **options: Any) -> type[PreTrainedModel]:
    """The class of the weights; ValueError where it is none of the family's."""
    config, _ = PreTrainedConfig.get_config_dict(source, **options)
    kind = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(kind, str) or kind not in family.classes:
        expected = ", ".join(family.classes)
        raise ValueError(f"is a model of the kind {kind!r}; expected one of {expected}")
    return family.classes[kind]


def _load(
    kind: type[PreTrainedModel], source: str | Path, head: tuple[str, ...], **options: Any
) -> PreTrainedModel:
    """The model; ValueError where a weight is missing or of another shape, and none of the head."""
    # A model and a report with this option, which transformers' types do not know.
    loaded: Any = kind.from_pretrained(
        source,
        dtype=torch.float32,
        ignore_mismatched_sizes=True,  # refused below, the head's excepted
        output_loading_info=True,
        **options,
    )
    model: PreTrainedModel = loaded[0]
    missing = _besides(head, loaded[1]["missing_keys"])
    if missing:
        raise ValueError(f"lacks {len(missing)} weights, {missing[0]} among them")
    reshaped = _besides(head, (name for name, *_ in loaded[1]["mismatched_keys"]))
    if reshaped:
        raise ValueError(
            f"holds {len(reshaped)} weights of other shapes than its config.json says, "
            f"{reshaped[0]} among them"
        )
    return model


def _with_new_head(model: PreTrainedModel, head: tuple[str, ...]) -> PreTrainedModel:
    """The model with the weights of its head as a new model has them."""
    new = type(model)(model.config).state_dict()
    fresh = {name: weight for name, weight in new.items() if name.startswith(head)}
    model.load_state_dict(fresh, strict=False)
    return model


def _besides(head: tuple[str, ...], names: Iterable[str]) -> list[str]:
    """The weights that are none of the head, by name."""
    return sorted(
        name for name in names if not name.startswith(head) and not name.endswith(_COUNTER)
    )


def _reason(err: Exception) -> str:
    """What an error says, on one line; with its name where that is no sentence for a user."""
    said = " ".join(str(err).split())[:_LONGEST_REASON]
    expected = isinstance(err, OSError | ValueError | ImportError | SafetensorError)
    return said if expected else f"{type(err).__name__}: {said}"
