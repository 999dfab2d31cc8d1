"""FCN, PSPNet and DeepLabV3: of the papers' shapes, on any ResNet's weights, exported as they are."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn
from transformers import ResNetConfig, ResNetForImageClassification, ResNetModel

from contract.errors import OptionsError
from contract.options import build
from tests.e2e.random_models import publish_segmenter
from trainer.dilated_segmenters import HEAD, DeepLab, DilatedSegmenter, Psp
from trainer.dilation import dilate
from trainer.errors import WeightsUnavailable
from trainer.hardware import Hardware
from trainer.pixel_loss import pixel_loss
from trainer.segmentation_heads import PYRAMID_BINS, pool
from trainer.segmentation_hyperparameters import SegmentationHyperparameters
from trainer.segmenters import NETWORKS, build_segmenter
from trainer.shared_norms import share_norms, without_effect
from trainer.tasks.segmentation import TASK
from trainer.weights import load_pretrained

LABELS = ("ground", "red", "blue")
TINY = ("fcn-tiny", "psp-tiny", "deeplab-tiny")
VOC_LABELS = tuple(str(index) for index in range(21))


def wanted(model: str, **more: object) -> SegmentationHyperparameters:
    return build(SegmentationHyperparameters, {"model": model, "input_size": 40, **more})


def network(model: str, labels: tuple[str, ...] = LABELS) -> DilatedSegmenter:
    torch.manual_seed(1)
    made = build_segmenter(wanted(model), labels)
    assert isinstance(made, DilatedSegmenter)
    return made


def scatter_norms(model: nn.Module) -> None:
    """Norms as a training leaves them: each channel of its own mean, deviation, scale and shift."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)


@pytest.mark.parametrize(
    "shape",
    [
        {"layer_type": "basic", "hidden_sizes": [8, 12, 16, 20]},
        {"layer_type": "bottleneck", "hidden_sizes": [16, 24, 32, 40]},
        {"hidden_sizes": [16, 24, 32, 40], "downsample_in_bottleneck": True},
    ],
    ids=["basic", "bottleneck", "downsample_in_bottleneck"],
)
@pytest.mark.parametrize("size", [64, 72])
def test_dilated_features_are_the_strided_ones_with_more_between_them(
    shape: dict[str, object], size: int
) -> None:
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=8, depths=[1, 2, 2, 3], **shape)  # type: ignore[arg-type]
    strided, dilated = ResNetModel(config), ResNetModel(config)
    scatter_norms(strided)
    dilated.load_state_dict(strided.state_dict())
    dilate(dilated.encoder.stages[2:])
    pixels = torch.randn(2, 3, size, size)
    expected, found = (
        nn.Module.eval(model)(pixel_values=pixels, output_hidden_states=True).hidden_states
        for model in (strided, dilated)
    )
    assert [len(features[0, 0]) for features in found] == [size // 4] * 2 + [size // 8] * 3
    for stage, step in ((1, 1), (2, 1), (3, 2), (4, 4)):
        torch.testing.assert_close(found[stage][..., ::step, ::step], expected[stage])


@pytest.mark.parametrize("bins", PYRAMID_BINS)
@pytest.mark.parametrize("size", [(1, 1), (5, 8), (8, 5), (30, 30), (64, 33)])
def test_pooling_is_adaptive_average_pooling(bins: int, size: tuple[int, int]) -> None:
    features = torch.randn(2, 3, *size)
    torch.testing.assert_close(pool(features, bins), nn.AdaptiveAvgPool2d(bins)(features))


@pytest.mark.parametrize(
    ("model", "weights"),
    [
        ("fcn-resnet-50", 35_322_218),
        ("fcn-resnet-101", 54_314_346),
        ("deeplab-resnet-50", 42_004_074),
        ("deeplab-resnet-101", 60_996_202),
    ],
)
def test_networks_have_as_many_weights_as_torchvisions(model: str, weights: int) -> None:
    """Torchvision's models of 21 labels with the auxiliary head are the same networks."""
    with torch.device("meta"):
        made = network(model, VOC_LABELS)
    assert sum(parameter.numel() for parameter in made.parameters()) == weights


def test_deeplabs_rates_are_the_papers_for_an_eighth_of_the_picture() -> None:
    with torch.device("meta"):
        made = network("deeplab-resnet-50")
    dilations = [
        module.dilation[0]
        for module in made.decode_head.modules()
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)
    ]
    assert dilations == [12, 24, 36, 1]


@pytest.mark.parametrize("model", sorted(NETWORKS))
def test_logits_are_an_eighth_of_the_picture(model: str) -> None:
    with torch.device("meta"):
        made = network(model)
        logits = made(pixel_values=torch.zeros(2, 3, 40, 40)).logits
    assert logits.shape == (2, 3, 5, 5)
    outputs = TASK.tensors(made, 40, LABELS)[1]
    assert [spec.dims for spec in outputs] == [(40, 40), (3, 5, 5)]


@pytest.mark.parametrize("model", TINY)
def test_auxiliary_head_adds_half_its_loss_in_training_alone(model: str) -> None:
    made = network(model)
    pixels, labels = torch.randn(2, 3, 40, 40), torch.randint(0, 3, (2, 40, 40))
    seen: list[torch.Tensor] = []
    made.auxiliary_head.register_forward_hook(lambda _module, _given, logits: seen.append(logits))
    made.decode_head.register_forward_hook(lambda _module, _given, logits: seen.append(logits))
    training = made(pixel_values=pixels, labels=labels).loss
    main, auxiliary = (pixel_loss(logits, labels) for logits in seen)
    torch.testing.assert_close(training, main + 0.5 * auxiliary)
    seen.clear()
    nn.Module.eval(made)
    evaluated = made(pixel_values=pixels, labels=labels)
    assert len(seen) == 1
    torch.testing.assert_close(evaluated.loss, pixel_loss(evaluated.logits, labels))


@pytest.mark.parametrize("model", TINY)
def test_no_label_is_likelier_before_a_training(model: str) -> None:
    made = network(model)
    nn.Module.eval(made)
    logits = made(pixel_values=torch.randn(2, 3, 40, 40)).logits
    assert torch.softmax(logits, dim=1).sub(1 / 3).abs().max() < 0.1


@pytest.mark.parametrize("model", TINY)
def test_graph_is_the_network_at_sizes_that_the_pyramid_does_not_divide(
    model: str, tmp_path: Path
) -> None:
    checkpoint = publish_segmenter(tmp_path, "network", model, 40)
    module = TASK.serving_module(TASK.load_model(checkpoint.folder)).eval()
    session = onnxruntime.InferenceSession(tmp_path / "network" / "1" / "model.onnx")
    for batch in (1, 3, 5):
        image = np.random.default_rng(batch).integers(0, 256, (batch, 40, 40, 3), dtype=np.uint8)
        with torch.inference_mode():
            label_map, logits = module(torch.from_numpy(image))
        found_map, found_logits = session.run(["label_map", "logits"], {"image": image})
        assert found_logits.shape == (batch, 3, 5, 5)
        np.testing.assert_allclose(found_logits, logits.numpy(), atol=1e-4)
        np.testing.assert_array_equal(found_map, label_map.numpy())


@pytest.mark.parametrize("model", TINY)
def test_backbone_takes_a_resnets_checkpoint_and_the_decoder_starts_anew(
    model: str, tmp_path: Path
) -> None:
    classifier = save_resnet(tmp_path)
    shape = NETWORKS[model]
    found = load_pretrained(shape.backbones, str(tmp_path), LABELS, **shape.config)
    weights, kept = found.state_dict(), classifier.state_dict()
    backbone = {name for name in weights if name.startswith("resnet.")}
    assert backbone == {name for name in kept if name.startswith("resnet.")}
    assert all(torch.equal(weights[name], kept[name]) for name in backbone)
    assert all(name.startswith(HEAD) for name in weights if name not in backbone)
    assert set(weights) == set(network(model).state_dict())
    assert found.config.id2label == dict(enumerate(LABELS))


def test_backbone_is_taken_from_a_resnet_alone_and_whole(tmp_path: Path) -> None:
    backbones = NETWORKS["fcn-tiny"].backbones
    network("fcn-tiny").save_pretrained(tmp_path / "fcn")
    with pytest.raises(WeightsUnavailable, match="kind 'fcn-resnet'; expected one of resnet"):
        load_pretrained(backbones, str(tmp_path / "fcn"), LABELS)
    save_resnet(tmp_path / "resnet")
    config = tmp_path / "resnet" / "config.json"
    config.write_text(config.read_text().replace('"depths": [\n    1,', '"depths": [\n    2,'))
    with pytest.raises(WeightsUnavailable, match=r"lacks \d+ weights, resnet\.encoder\.stages\.0"):
        load_pretrained(backbones, str(tmp_path / "resnet"), LABELS)


def save_resnet(folder: Path) -> ResNetForImageClassification:
    """A small classifier as the hub keeps them, of 7 labels."""
    config = ResNetConfig(
        layer_type="basic",
        depths=[1, 1, 1],
        hidden_sizes=[16, 32, 64],
        embedding_size=16,
        id2label={index: str(index) for index in range(7)},
    )
    model = ResNetForImageClassification(config)
    scatter_norms(model)
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize(
    ("model", "given", "problem"),
    [
        ("psp-tiny", {"per_device_train_batch_size": 1}, "per_device_train_batch_size: got 1,"),
        ("deeplab-tiny", {"per_device_train_batch_size": 1}, "per_device_train_batch_size: got 1,"),
        ("segformer-tiny", {}, "input_size: got 40, expected a multiple of 32"),
        ("b0", {"input_size": 64, "crop_size": 40}, "crop_size: got 40, expected a multiple of 32"),
    ],
)
def test_pictures_that_a_network_cannot_train_on_are_refused(
    model: str, given: dict[str, object], problem: str
) -> None:
    with pytest.raises(OptionsError) as caught:
        build_segmenter(wanted(model, **given), LABELS)
    (line,) = caught.value.problems
    assert line.startswith(problem)


def test_fcn_trains_on_one_picture_a_step() -> None:
    made = build_segmenter(wanted("fcn-tiny", per_device_train_batch_size=1), LABELS)
    labels = torch.zeros(1, 40, 40, dtype=torch.int64)
    made(pixel_values=torch.randn(1, 3, 40, 40), labels=labels).loss.backward()


@pytest.mark.parametrize(
    ("device", "processes", "shared"),
    [("cuda", 2, True), ("cuda", 1, False), ("cpu", 2, False), ("cpu", 1, False)],
)
def test_norms_are_shared_between_gpus_alone(device: str, processes: int, shared: bool) -> None:
    hardware = Hardware(device, "fp32", channels_last=False, dataloader_workers=0)  # type: ignore[arg-type]
    assert (without_effect(hardware, processes) == "") is shared
    for syncbn in (True, False):
        made = network("fcn-tiny")
        before = {name: weight.clone() for name, weight in made.state_dict().items()}
        share_norms(made, wanted("fcn-tiny", syncbn=syncbn), hardware, processes)
        norms = [
            module
            for module in made.modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm)
        ]
        expected = nn.SyncBatchNorm if shared and syncbn else nn.BatchNorm2d
        assert {type(norm) for norm in norms} == {expected}
        after = made.state_dict()
        assert all(torch.equal(after[name], weight) for name, weight in before.items())


def test_whole_pictures_are_pooled_where_a_batch_of_one_would_have_no_deviation() -> None:
    assert Psp.pools_whole_pictures
    assert DeepLab.pools_whole_pictures
    labels = torch.zeros(1, 40, 40, dtype=torch.int64)
    for model in ("psp-tiny", "deeplab-tiny"):
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            network(model)(pixel_values=torch.randn(1, 3, 40, 40), labels=labels)


def test_label_maps_of_random_pictures_are_of_the_pictures_size() -> None:
    image = torch.from_numpy(np.zeros((2, 40, 40, 3), np.uint8))
    label_map, logits = TASK.serving_module(network("psp-tiny")).eval()(image)
    assert (label_map.shape, label_map.dtype) == ((2, 40, 40), torch.uint8)
    assert logits.shape == (2, 3, 5, 5)
