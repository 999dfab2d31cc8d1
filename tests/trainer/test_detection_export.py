"""Every family of detectors exports with a dynamic batch, and answers a picture as if alone."""

import math
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import nn
from transformers import PreTrainedModel
from transformers.models.d_fine import modeling_d_fine

from contract.model_config import ModelConfig
from trainer.detection_hyperparameters import DetectionHyperparameters
from trainer.detector_export import ServedDetector, masked_inputs
from trainer.detectors import FAMILY, build_detector
from trainer.export import check_onnx, describe_model, write_onnx
from trainer.tasks import load_task
from trainer.weights import load_checkpoint

LABELS = ("disc", "square", "star")
NAMES = ("boxes", "scores", "labels")
MODELS = ("detr-tiny", "rtdetr-v2-tiny", "dfine-tiny")
SIDE = 96
SHAPES = ((96, 96), (40, 96), (96, 31), (5, 96), (77, 96))  # height, width


def lively_detector(name: str, side: int = SIDE) -> PreTrainedModel:
    """A detector of random weights whose answers differ between queries and pictures.

    As they are built, all scores of the later detectors are equal to the last bit, and which of
    equal queries is the best is nobody's to say.
    """
    torch.manual_seed(0)
    model = build_detector(DetectionHyperparameters(model=name), LABELS)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=1 / math.sqrt(parameter[0].numel()))
        model.train()
        for _ in range(20):  # batch norms see what their inputs are like
            model(pixel_values=torch.rand(2, 3, side, side))
    model.train(mode=False)
    return model


def pictures(shapes: tuple[tuple[int, int], ...] = SHAPES) -> tuple[torch.Tensor, torch.Tensor]:
    """Random pictures image[B, S, S, 3] with black padding, and their size[B, 2]."""
    image = np.zeros((len(shapes), SIDE, SIDE, 3), np.uint8)
    for index, (height, width) in enumerate(shapes):
        rng = np.random.default_rng(index)
        image[index, :height, :width] = rng.integers(0, 256, (height, width, 3))
    return torch.from_numpy(image), torch.tensor(shapes, dtype=torch.int32)


def config_of(model: PreTrainedModel) -> ModelConfig:
    return describe_model(load_task("object-detection"), model, "boxes", LABELS, SIDE)


def answers(module: nn.Module, image: torch.Tensor, size: torch.Tensor) -> list[NDArray[Any]]:
    with torch.inference_mode():
        return [output.numpy() for output in module(image, size)]


@cache
def exported(name: str) -> bytes:
    """The graph of the lively detector."""
    model = lively_detector(name)
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        path = Path(file.name)
        task = load_task("object-detection")
        write_onnx(task, ServedDetector(model).eval(), config_of(model), path)
        return path.read_bytes()


@pytest.mark.parametrize("name", MODELS)
def test_graph_equals_torch_at_batches_that_were_not_traced(name: str, tmp_path: Path) -> None:
    task, model = load_task("object-detection"), lively_detector(name)
    module, config, path = ServedDetector(model).eval(), config_of(model), tmp_path / "model.onnx"
    path.write_bytes(exported(name))
    assert "len" not in vars(modeling_d_fine)
    check_onnx(task, module, config, path)
    session = onnxruntime.InferenceSession(path)
    written = {output.name: output.shape[1:] for output in session.get_outputs()}
    assert written == {spec.name: list(spec.dims) for spec in config.outputs}
    for batch in (1, 5):
        image, size = pictures(SHAPES[:batch])
        got = session.run(list(NAMES), {"image": image.numpy(), "size": size.numpy()})
        reference = answers(module, image, size)
        assert [output.dtype for output in got] == [output.dtype for output in reference]
        aligned = task.align(
            dict(zip(NAMES, got, strict=True)), dict(zip(NAMES, reference, strict=True))
        )
        for output, expected in zip(NAMES, reference, strict=True):
            np.testing.assert_allclose(aligned[output], expected, atol=1e-4)
        assert np.std(got[1]) > 1e-3


@pytest.mark.parametrize("name", ["rtdetr-v2-tiny", "dfine-tiny"])
def test_of_equal_anchors_the_first_are_taken_by_every_runtime(name: str) -> None:
    """Zeroed weights of the anchors' scores make them all equal; no batch may be drawn anew."""
    task, model = load_task("object-detection"), lively_detector(name)
    weight = model.get_parameter("model.enc_score_head.weight")
    graph = onnx.load_from_string(exported(name))
    (same,) = (
        one
        for one in graph.graph.initializer
        if sorted(one.dims) == sorted(weight.shape)
        and any(
            np.array_equal(numpy_helper.to_array(one), values)
            for values in (weight.detach().numpy(), weight.detach().numpy().T)
        )
    )
    same.CopyFrom(numpy_helper.from_array(np.zeros(same.dims, np.float32), same.name))
    nn.init.zeros_(weight)
    module = ServedDetector(model).eval()
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    image, size = pictures()
    got = session.run(list(NAMES), {"image": image.numpy(), "size": size.numpy()})
    reference = dict(zip(NAMES, answers(module, image, size), strict=True))
    ours = task.align(dict(zip(NAMES, got, strict=True)), reference)
    for output in NAMES:
        np.testing.assert_allclose(ours[output], reference[output], atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_answer_does_not_depend_on_what_a_picture_is_batched_with(name: str) -> None:
    module = ServedDetector(lively_detector(name)).eval()
    image, size = pictures()
    together = answers(module, image, size)
    for index in range(len(SHAPES)):
        alone = answers(module, image[index : index + 1], size[index : index + 1])
        for ours, reference in zip(together, alone, strict=True):
            np.testing.assert_allclose(ours[index], reference[0], atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_answer_does_not_depend_on_what_the_padding_holds(name: str) -> None:
    module = ServedDetector(lively_detector(name)).eval()
    image, size = pictures()
    place = torch.arange(SIDE)
    inside = (place < size[:, :1])[:, :, None] & (place < size[:, 1:])[:, None, :]
    noise = torch.randint(0, 256, image.shape, dtype=torch.uint8)
    other = torch.where(inside[..., None], image, noise)
    for ours, reference in zip(
        answers(module, other, size), answers(module, image, size), strict=True
    ):
        np.testing.assert_array_equal(ours, reference)


@pytest.mark.parametrize("name", MODELS)
def test_boxes_are_parts_of_the_picture_without_its_padding(name: str) -> None:
    """A box that the model puts at the same pixels is another part of a smaller picture."""
    model = lively_detector(name)
    image, size = pictures(((48, 96),))
    boxes, scores, labels = answers(ServedDetector(model).eval(), image, size)
    with torch.inference_mode():
        result = model(**masked_inputs(image.permute(0, 3, 1, 2) / 255, size))
    best = int(scores[0].argmax())
    if name == "detr-tiny":
        query, scale = best, np.array([1, 1])
    else:
        query = int(result.logits[0].max(-1).values.argmax())
        scale = np.array([1, 2])  # 96 of 96 columns, 48 of 96 rows
        assert labels[0, best] == int(result.logits[0, query].argmax())
    centre, extent = np.split(result.pred_boxes[0, query].numpy(), 2)
    expected = np.concatenate([(centre - extent / 2) * scale, (centre + extent / 2) * scale])
    np.testing.assert_allclose(boxes[0, best], np.clip(expected, 0, 1), atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_saved_detector_answers_as_the_trained_one(name: str, tmp_path: Path) -> None:
    model = lively_detector(name)
    model.save_pretrained(tmp_path)
    image, size = pictures()
    for ours, reference in zip(
        answers(ServedDetector(load_checkpoint(FAMILY, tmp_path)).eval(), image, size),
        answers(ServedDetector(model).eval(), image, size),
        strict=True,
    ):
        np.testing.assert_allclose(ours, reference, atol=1e-6)


def test_detrs_backbone_learns() -> None:
    model = build_detector(DetectionHyperparameters(model="detr-tiny"), LABELS)
    assert all(parameter.requires_grad for parameter in model.parameters())
