"""Weights come whole and of the right family, or not at all: for each task, from each place."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from contract.errors import OptionsError
from contract.options import build as build_options
from tests.trainer.kinds import KINDS, LABELS, Kind
from trainer.errors import CheckpointError, TrainerError, WeightsUnavailable
from trainer.tasks import TASKS, load_task

HUB_ID = "someone/weights"


Load = Callable[[Kind, Path], PreTrainedModel]


@pytest.fixture
def saved(kind: Kind, tmp_path: Path) -> Path:
    """The folder of a model of `LABELS`, to spoil."""
    build(kind, kind.size).save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


def build(
    kind: Kind, model: str, labels: tuple[str, ...] = LABELS, *, pretrained: bool = False
) -> PreTrainedModel:
    wanted = TASKS[kind.task].hyperparameters(model=model, pretrained=pretrained)  # type: ignore[call-arg]  # the others have defaults in every task
    return load_task(kind.task).of(wanted).build_model(labels)


def start_from(kind: Kind, folder: Path) -> PreTrainedModel:
    return build(kind, str(folder))


def open_again(kind: Kind, folder: Path) -> PreTrainedModel:
    return load_task(kind.task).load_model(folder)


def fetch(kind: Kind, folder: Path) -> PreTrainedModel:
    """From the hub's cache, as it is after a download."""
    cached = folder.parent / "hub" / f"models--{HUB_ID.replace('/', '--')}"
    shutil.copytree(folder, cached / "snapshots" / "1")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder.parent / "hub"))
        return build(kind, HUB_ID, pretrained=True)


every_place = pytest.mark.parametrize("load", [start_from, open_again, fetch])


def change_weights(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path, {"format": "pt"})


def refusal(load: Load, kind: Kind, folder: Path) -> str:
    with pytest.raises(TrainerError) as caught:
        load(kind, folder)
    assert isinstance(caught.value, CheckpointError if load is open_again else WeightsUnavailable)
    (line,) = caught.value.problems
    assert "\n" not in line
    source = HUB_ID if load is fetch else str(folder)
    assert source in line
    return line


@every_place
def test_weights_are_taken_in_fp32_whatever_they_are_kept_in(
    kind: Kind, saved: Path, load: Load
) -> None:
    kept = load_file(saved / "model.safetensors")
    found = load(kind, saved).state_dict()
    assert torch.equal(found[kind.weight], kept[kind.stored])
    assert torch.equal(found[kind.head], kept[kind.head])
    shutil.rmtree(saved.parent / "hub", ignore_errors=True)
    halves = {
        name: part.half() if part.is_floating_point() else part for name, part in kept.items()
    }
    save_file(halves, saved / "model.safetensors", {"format": "pt"})
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "dtype": "float16"}))
    found = load(kind, saved).state_dict()
    assert torch.equal(found[kind.weight], halves[kind.stored].float())


@every_place
def test_another_kind_of_model_is_refused(kind: Kind, saved: Path, load: Load) -> None:
    (saved / "config.json").write_text('{"model_type": "vit"}')
    assert "is a model of the kind 'vit'; expected one of " in refusal(load, kind, saved)


@every_place
def test_missing_weights_are_refused_not_silently_random(
    kind: Kind, saved: Path, load: Load
) -> None:
    change_weights(saved, lambda weights: weights.pop(kind.stored))
    assert f"lacks 1 weights, {kind.weight} among them" in refusal(load, kind, saved)


@every_place
def test_weights_of_other_shapes_are_refused_not_silently_random(
    kind: Kind, saved: Path, load: Load
) -> None:
    change_weights(saved, lambda weights: weights.update({kind.stored: torch.zeros(3, 5)}))
    line = refusal(load, kind, saved)
    assert "holds 1 weights of other shapes than its config.json says" in line
    assert kind.weight in line


@every_place
@pytest.mark.parametrize("content", [b"", b"\x10\0\0\0\0\0\0\0{", b"not safetensors at all"])
def test_broken_weights_are_one_line(kind: Kind, saved: Path, load: Load, content: bytes) -> None:
    (saved / "model.safetensors").write_bytes(content)
    assert "cannot be loaded: " in refusal(load, kind, saved)


@every_place
@pytest.mark.parametrize("config", ["", "[]", "{}", '{"model_type": 3}', "{"])
def test_config_that_is_none_is_one_line(kind: Kind, saved: Path, load: Load, config: str) -> None:
    (saved / "config.json").write_text(config)
    assert "cannot be loaded: " in refusal(load, kind, saved)


@pytest.mark.parametrize("load", [start_from, fetch])
def test_head_alone_may_be_missing_to_train(kind: Kind, saved: Path, load: Load) -> None:
    change_weights(saved, lambda weights: weights.pop(kind.head))
    found = load(kind, saved).state_dict()
    assert torch.equal(found[kind.weight], load_file(saved / "model.safetensors")[kind.stored])
    assert f"lacks 1 weights, {kind.head} among them" in refusal(open_again, kind, saved)


def test_head_starts_anew_where_the_labels_are_others(kind: Kind, saved: Path) -> None:
    model = build(kind, str(saved), ("x", "y", "z"))
    kept = load_file(saved / "model.safetensors")
    assert torch.equal(model.state_dict()[kind.weight], kept[kind.stored])
    assert len(model.state_dict()[kind.head]) == len(kept[kind.head]) + 1
    assert model.config.id2label == {0: "x", 1: "y", 2: "z"}


def test_model_to_train_takes_over_every_weight_of_a_checkpoint(kind: Kind, saved: Path) -> None:
    """As a resumed training does; a file's names are not the model's."""
    resumed, kept = build(kind, kind.size), open_again(kind, saved).state_dict()
    resumed.load_state_dict(kept)
    found = resumed.state_dict()
    assert all(torch.equal(found[name], weight) for name, weight in kept.items())


def test_counts_of_batches_are_no_weights(kind: Kind, saved: Path) -> None:
    def forget(weights: dict[str, Tensor]) -> None:
        for name in [name for name in weights if name.endswith("num_batches_tracked")]:
            del weights[name]

    change_weights(saved, forget)
    assert not open_again(kind, saved).training


def test_config_that_no_model_can_have_is_one_line(tmp_path: Path) -> None:
    kind = KINDS[0]
    build(kind, kind.size).save_pretrained(tmp_path)
    for change, reason in (({"depths": "abc"}, "'depths'"), ({"hidden_sizes": []}, "IndexError")):
        config = {"model_type": "resnet", **change}
        (tmp_path / "config.json").write_text(json.dumps(config))
        assert reason in refusal(start_from, kind, tmp_path)


def test_unknown_model_is_refused_with_the_known_ones(kind: Kind) -> None:
    with pytest.raises(OptionsError, match=f"model: got 'nonesuch', expected one of .*{kind.size}"):
        build(kind, "nonesuch")
    with pytest.raises(OptionsError, match=f"pretrained: the hub has no weights of {kind.size}"):
        build(kind, kind.size, pretrained=True)


def test_pretrained_takes_a_folder_or_hub_id_in_the_place_of_model(kind: Kind, saved: Path) -> None:
    hyperparameters = TASKS[kind.task].hyperparameters
    for given in (str(saved), HUB_ID, kind.size):
        one = build_options(hyperparameters, {"pretrained": given})
        assert one == build_options(hyperparameters, {"model": given, "pretrained": "true"})
        assert one == build_options(hyperparameters, {"model": given, "pretrained": given})
        assert (one.model, one.pretrained) == (given, True)
    wanted = build_options(hyperparameters, {"pretrained": str(saved)})
    model = load_task(kind.task).of(wanted).build_model(LABELS)
    kept = load_file(saved / "model.safetensors")
    assert torch.equal(model.state_dict()[kind.weight], kept[kind.stored])


def test_pretrained_alone_or_as_a_truth_value_leaves_the_model_as_it_is(kind: Kind) -> None:
    hyperparameters = TASKS[kind.task].hyperparameters
    for said, meant in (("true", True), ("No", False), (True, True), ("0", False)):
        wanted = build_options(hyperparameters, {"model": kind.size, "pretrained": said})
        assert (wanted.model, wanted.pretrained) == (kind.size, meant)


def test_weights_beside_another_model_are_refused(kind: Kind) -> None:
    with pytest.raises(OptionsError) as caught:
        build_options(TASKS[kind.task].hyperparameters, {"model": kind.size, "pretrained": HUB_ID})
    assert caught.value.problems == (
        f"pretrained: got {HUB_ID!r} beside model {kind.size!r}; expected one of them, since "
        "weights say themselves what model they are of",
    )


def test_branch_of_the_hubs_detr_is_the_one_without_timm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = next(kind for kind in KINDS if kind.size == "detr-tiny")
    build(kind, kind.size).save_pretrained(tmp_path / "saved")
    cached = tmp_path / "hub" / "models--facebook--detr-resnet-50"
    shutil.copytree(tmp_path / "saved", cached / "snapshots" / "1")
    (cached / "refs").mkdir()
    (cached / "refs" / "no_timm").write_text("1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    kept = load_file(tmp_path / "saved" / "model.safetensors")
    found = build(kind, "detr-resnet-50", pretrained=True).state_dict()
    assert torch.equal(found[kind.weight], kept[kind.stored])
