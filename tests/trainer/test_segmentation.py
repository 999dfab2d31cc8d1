"""SegFormer learns, and its exported graph gives the model's label map on every pixel."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]  # ships no types
    EventAccumulator,
)
from torch import nn

from contract.errors import OptionsError
from contract.model_config import read_model_config
from contract.options import build
from tests.trainer.conftest import aperture_train, problems
from tests.trainer.segmentation_folders import FAST, LABELS, write_blocks
from trainer.batch_size import largest_batch, training_step
from trainer.checkpoints import open_checkpoint
from trainer.export import check_onnx, describe_model, max_batch_size, random_inputs, write_onnx
from trainer.flips import flip_together
from trainer.hardware import choose_hardware
from trainer.overlays import overlay, side_by_side
from trainer.pixel_loss import NO_ID, pixel_loss
from trainer.segformer import Segmenter
from trainer.segmentation_hyperparameters import SegmentationHyperparameters
from trainer.segmenters import build_segmenter
from trainer.tasks.segmentation import TASK, to_label_map
from trainer.tasks.task import Outputs

TINY = SegmentationHyperparameters(model="segformer-tiny", input_size=64)


@dataclass(frozen=True, slots=True)
class Blocks:
    """A run on the blocks, and where everything of it is."""

    data: Path
    repository: Path
    run_dir: Path

    @property
    def module(self) -> nn.Module:
        checkpoint = open_checkpoint(self.run_dir)
        return TASK.serving_module(TASK.load_model(checkpoint.folder)).eval()


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Blocks:
    """A tiny SegFormer, trained and published once."""
    folder = tmp_path_factory.mktemp("segmentation")
    made = Blocks(write_blocks(folder / "data"), folder / "repository", folder / "run")
    where = ("--data", str(made.data), "--model_repository", str(made.repository))
    argv = ("fit", *where, "--name", "blocks", "--output_dir", str(made.run_dir), *FAST)
    assert aperture_train(*argv) == 0
    return made


def random_images(batch: int, size: int = 64) -> NDArray[np.uint8]:
    return np.random.default_rng(batch).integers(0, 256, (batch, size, size, 3), dtype=np.uint8)


def constant_mean_iou(data: Path, split: str) -> float:
    """The best mean_iou of answering one label everywhere."""
    samples = TASK.read_split(data, split, LABELS).samples
    found = []
    for label in range(len(LABELS)):
        metric = TASK.metric(LABELS)
        answers = np.full((len(samples), 64, 64), label, np.uint8)
        metric.update({"label_map": answers}, samples)
        found.append(metric.compute()["mean_iou"])
    return max(found)


def test_it_learns(blocks: Blocks) -> None:
    splits = json.loads((blocks.run_dir / "metrics.json").read_text())["splits"]
    for split in ("validation", "test"):
        assert splits[split]["mean_iou"] > 2 * constant_mean_iou(blocks.data, split)
        assert set(splits[split]) >= {"mean_accuracy", "overall_accuracy"}
        assert set(splits[split]) >= {f"per_category_iou/{label}" for label in LABELS}


@pytest.mark.parametrize("batch", [1, 3, 5])
def test_onnx_equals_torch_on_every_pixel_at_batch_sizes_that_were_not_traced(
    blocks: Blocks, batch: int
) -> None:
    session = onnxruntime.InferenceSession(blocks.repository / "blocks" / "1" / "model.onnx")
    image = random_images(batch)
    with torch.inference_mode():
        label_map, logits = blocks.module(torch.from_numpy(image))
    found_map, found_logits = session.run(["label_map", "logits"], {"image": image})
    assert (found_map.shape, found_map.dtype) == ((batch, 64, 64), np.uint8)
    assert found_logits.shape == (batch, 3, 16, 16)
    np.testing.assert_array_equal(found_map, label_map.numpy())
    np.testing.assert_allclose(found_logits, logits.numpy(), atol=1e-4)


def test_picture_is_answered_as_it_would_be_alone(blocks: Blocks) -> None:
    session = onnxruntime.InferenceSession(blocks.repository / "blocks" / "1" / "model.onnx")
    images = random_images(4)
    (together,) = session.run(["label_map"], {"image": images})
    alone = [session.run(["label_map"], {"image": image[None]})[0][0] for image in images]
    np.testing.assert_array_equal(together, np.stack(alone))


def test_published_configuration_says_what_the_server_needs(blocks: Blocks) -> None:
    config = read_model_config(blocks.repository / "blocks")
    assert (config.task, config.parameters["resize"]) == ("semantic-segmentation", "squash")
    assert json.loads(config.parameters["labels"]) == list(LABELS)
    assert config.outputs[0].label_filename == "labels.txt"


def test_label_maps_past_256_labels_are_int32(tmp_path: Path) -> None:
    labels = tuple(f"label {index}" for index in range(300))
    model = build_segmenter(TINY, labels)
    module = TASK.serving_module(model).eval()
    config = describe_model(TASK, model, "many", labels, 64)
    assert [spec.datatype for spec in config.outputs] == ["INT32", "FP32"]
    write_onnx(TASK, module, config, tmp_path / "model.onnx")
    check_onnx(TASK, module, config, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (label_map,) = session.run(["label_map"], random_inputs(TASK, config, 2))
    assert label_map.dtype == np.int32
    assert label_map.max() > 255


def test_check_of_the_export_forgives_the_choice_between_equals_alone() -> None:
    logits = np.zeros((1, 3, 1, 1), np.float32)
    logits[0, :2] = 1  # the first two ids are equals, the third is less

    def outputs(label: int) -> Outputs:
        return {"label_map": np.array([[[label]]], np.uint8), "logits": logits}

    for chosen, aligned in ((0, 0), (1, 0), (2, 2)):
        assert TASK.align(outputs(chosen), outputs(0))["label_map"].item() == aligned


def test_check_of_the_export_forgives_what_is_small_beside_the_largest_logit() -> None:
    reference: Outputs = {
        "label_map": np.array([[[0, 1]]], np.uint8),
        "logits": np.array([20.0, -20.0], np.float32).reshape(1, 2, 1, 1),
    }
    for off, forgiven in ((0.01, True), (0.03, False)):
        ours = {**reference, "logits": reference["logits"] + np.float32(off)}
        aligned = TASK.align(ours, reference)["logits"]
        assert np.array_equal(aligned, reference["logits"]) is forgiven
    other = {**reference, "logits": np.full((1, 2, 1, 1), np.nan, np.float32)}
    assert np.isnan(TASK.align(other, reference)["logits"]).all()


@pytest.mark.parametrize(("size", "batch"), [(28, 64), (224, 64), (512, 8), (800, 4), (4096, 1)])
def test_large_pictures_are_batched_in_smaller_numbers(size: int, batch: int) -> None:
    assert max_batch_size(size) == batch


def test_label_map_is_the_largest_logit_between_the_pixels_centres() -> None:
    """Bilinear with half pixels: enlarged twice, weights are 3/4 and 1/4 inside, 1 at the rim."""
    logits = torch.tensor([[[[0.0, 4.0]], [[2.5, 2.5]]]])
    stretched = torch.tensor([0.0, 1.0, 3.0, 4.0]) > 2.5
    expected = torch.where(stretched, 0, 1).to(torch.uint8)
    assert torch.equal(to_label_map(logits.expand(1, 2, 2, 2), 4)[0, 0], expected)


def test_pictures_of_predictions_beside_the_truth_are_in_tensorboard(blocks: Blocks) -> None:
    events = EventAccumulator(str(blocks.run_dir / "tensorboard"), {"images": 0, "scalars": 0})
    events.Reload()
    assert len(events.Tags()["images"]) == 4
    assert events.Images("validation/0")[0].width == 2 * 64 + 4
    assert "test/per_category_iou/red" in events.Tags()["scalars"]


def test_overlay_colours_ids_by_the_voc_palette_and_leaves_hidden_pixels() -> None:
    pixels = np.full((1, 3, 3), 100, np.uint8)
    ids = np.array([[0, 1, 2]], np.uint8)
    drawn = overlay(pixels, ids, np.array([[True, True, False]]))
    assert drawn.tolist() == [[[40, 40, 40], [116, 40, 40], [100, 100, 100]]]
    assert side_by_side(drawn, drawn).shape == (1, 3 + 4 + 3, 3)
    many = overlay(pixels, np.array([[256, 511, 1]], np.int32))
    assert many[0, 0].tolist() == many[0, 2].tolist()


def test_batch_without_a_pixel_to_learn_from_has_a_loss_of_zero() -> None:
    model = build_segmenter(TINY, LABELS)
    assert isinstance(model, Segmenter)
    nowhere = torch.full((1, 64, 64), NO_ID)
    loss = model(pixel_values=torch.randn(1, 3, 64, 64), labels=nowhere).loss
    assert loss is not None
    loss.backward()
    assert loss.item() == 0
    assert all(
        parameter.grad is None or torch.isfinite(parameter.grad).all()
        for parameter in model.parameters()
    )


def test_loss_is_the_mean_over_the_pixels_that_count() -> None:
    logits = torch.randn(2, 3, 4, 4)
    labels = torch.randint(0, 3, (2, 4, 4))
    labels[0, :2] = NO_ID
    chosen = torch.log_softmax(logits, dim=1).gather(1, labels.clamp(min=0)[:, None])[:, 0]
    expected = -chosen[labels != NO_ID].mean()
    torch.testing.assert_close(pixel_loss(logits, labels), expected)


def test_masks_are_mirrored_with_their_pictures_and_the_same_for_the_same_seed() -> None:
    pixels = torch.rand(16, 3, 8, 8)
    masks = (pixels[:, 0] * 4000).to(torch.int64)
    masks[:, 0, 0] = NO_ID
    flipped, flipped_masks = flip_together(pixels, masks, [1, 2])
    mirrored = [
        not torch.equal(before, after) for before, after in zip(pixels, flipped, strict=True)
    ]
    assert 2 < sum(mirrored) < 14
    for index, turned in enumerate(mirrored):
        expected = masks[index].flip(-1) if turned else masks[index]
        assert torch.equal(flipped_masks[index], expected)
    again, _ = flip_together(pixels, masks, [1, 2])
    assert torch.equal(again, flipped)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("learning_rate", "-1", "float in [0.0, inf)"),
        ("per_device_train_batch_size", "-1", "int in [0, inf)"),
        ("num_train_epochs", "-0.5", "float in [0.0, inf)"),
        ("logging_steps", "499", "int in [500, inf)"),
        ("input_size", "100", "expected int in [16, inf), a multiple of 8"),
    ],
)
def test_values_out_of_easymakers_ranges_are_refused(name: str, value: str, expected: str) -> None:
    with pytest.raises(OptionsError) as caught:
        build(SegmentationHyperparameters, {name: value})
    (line,) = caught.value.problems
    assert line.startswith(f"{name}: got ")
    assert expected in line.replace("[0,", "[0.0,") if "float" in expected else expected in line


def test_defaults_are_easymakers() -> None:
    wanted = SegmentationHyperparameters()
    assert (wanted.learning_rate, wanted.per_device_train_batch_size) == (2e-4, 4)
    assert (wanted.num_train_epochs, wanted.logging_steps) == (3.0, 500)
    assert (wanted.input_size, wanted.model) == (512, "segformer-b3")


@pytest.mark.parametrize("name", ["b0", "segformer-b0"])
def test_sizes_have_a_short_name_too(name: str) -> None:
    model = build_segmenter(TINY.model_copy(update={"model": name}), LABELS)
    assert model.config.hidden_sizes == [32, 64, 160, 256]


def test_batch_size_of_zero_is_four_on_a_cpu() -> None:
    wanted = TINY.model_copy(update={"per_device_train_batch_size": 0})
    hardware = choose_hardware(wanted)
    if hardware.device != "cpu":
        pytest.skip("needs a machine without a GPU")
    assert TASK.of(wanted).batch_size(hardware) == 4
    assert TASK.of(TINY).batch_size(hardware) == TINY.per_device_train_batch_size


@pytest.mark.parametrize(("room", "found"), [(1, 1), (2, 2), (7, 4), (8, 8), (5000, 1024)])
def test_largest_batch_is_the_largest_power_of_two_that_fits(room: int, found: int) -> None:
    def step(size: int) -> None:
        if size > room:
            raise torch.OutOfMemoryError

    assert largest_batch(step) == found


def test_trying_a_batch_trains_one_step() -> None:
    model = build_segmenter(TINY, LABELS)
    sizes = []

    def make_batch(size: int) -> dict[str, torch.Tensor]:
        sizes.append(size)
        return {
            "pixel_values": torch.zeros(size, 3, 64, 64),
            "labels": torch.zeros(size, 64, 64, dtype=torch.int64),
        }

    assert largest_batch(training_step(model, make_batch, torch.bfloat16), most=2) == 2
    assert sizes == [2]


@pytest.mark.parametrize("answer", [{}, "a", [1], [[1, 2], [3]], [["a"]], [[3]], [[-1]], [[0.5]]])
def test_predictions_of_another_form_are_refused(answer: object) -> None:
    with pytest.raises(ValueError, match="instead of"):
        TASK.parse_predictions([answer], LABELS, [])  # type: ignore[list-item]


def test_predictions_are_rows_of_ids() -> None:
    outputs = TASK.parse_predictions([[[0, 1], [2, 0]]], LABELS, [])
    assert outputs["label_map"].tolist() == [[[0, 1], [2, 0]]]


def test_metrics_of_parts_that_several_processes_saw_are_those_of_the_whole(
    blocks: Blocks,
) -> None:
    samples = TASK.read_split(blocks.data, "train", LABELS).samples
    maps = np.random.default_rng(0).integers(0, 3, (len(samples), 64, 64)).astype(np.uint8)
    whole, first, second = (TASK.metric(LABELS) for _ in range(3))
    whole.update({"label_map": maps}, samples)
    first.update({"label_map": maps[:5]}, samples[:5])
    second.update({"label_map": maps[5:]}, samples[5:])
    first.merge(second)
    assert first.compute() == whole.compute()


def test_evaluation_of_the_checkpoint_and_of_the_version_agree(
    blocks: Blocks, tmp_path: Path
) -> None:
    for source in (
        ("--checkpoint", str(blocks.run_dir)),
        ("--model_repository", str(blocks.repository), "--name", "blocks"),
    ):
        argv = ("evaluate", "--task", "semantic-segmentation", "--data", str(blocks.data))
        assert aperture_train(*argv, *source, "--output", str(tmp_path / "found.json")) == 0
        found = json.loads((tmp_path / "found.json").read_text())
        by_fit = json.loads((blocks.run_dir / "metrics.json").read_text())["splits"]
        assert found["test"] == by_fit["test"]


def test_dataset_of_other_labels_is_not_evaluated(
    blocks: Blocks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_blocks(tmp_path / "data")
    (data / "resources" / "id2lable.json").write_text('{"0": "a", "1": "b", "2": "c"}')
    argv = ("evaluate", "--task", "semantic-segmentation", "--data", str(data))
    assert aperture_train(*argv, "--checkpoint", str(blocks.run_dir)) == 1
    assert "the model's labels are ground, red, blue" in problems(capsys.readouterr().err)[0]
