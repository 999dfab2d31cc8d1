"""ResNets by depth: how many layers they have, and what becomes of a picture's size in them."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from trainer.classification_hyperparameters import ClassificationHyperparameters
from trainer.normalization import STD, grey, normalize, to_unit
from trainer.resnet import SIZES, ResNet, build_resnet
from trainer.tasks.classification import TASK

LABELS = ("a", "b", "c")


def build(model: str) -> ResNet:
    built = build_resnet(ClassificationHyperparameters(model=model), LABELS)
    assert isinstance(built, ResNet)
    return built


def weights(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", [name for name in SIZES if re.search(r"\d", name)])
def test_name_says_the_layers_with_weights(name: str) -> None:
    """Convolutions, the projections of shortcuts aside, and the last linear layer."""
    with torch.device("meta"):
        model = build(name)
    layers = [
        module
        for path, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and ".shortcut." not in path
    ]
    assert len(layers) == int(name.rpartition("-")[2])


def test_small_nets_have_the_papers_number_of_weights() -> None:
    """Table 6 of He et al. 2015 says 0.27 and 1.7 million, with shortcuts without weights."""
    for name, millions in (("resnet-cifar-20", 0.27), ("resnet-cifar-110", 1.73)):
        model = build(name)
        projections = sum(
            weights(module) for path, module in model.named_modules() if path.endswith(".shortcut")
        )
        assert (weights(model) - projections) / 1e6 == pytest.approx(millions, abs=0.005)


def test_weights_of_a_grey_net_see_colours_where_grey_is_not_asked_for(tmp_path: Path) -> None:
    build_resnet(
        ClassificationHyperparameters(model="resnet-tiny", grey=True), LABELS
    ).save_pretrained(tmp_path)
    further = ClassificationHyperparameters(model=str(tmp_path))
    assert build_resnet(further, LABELS).config.grey is False


def test_grey_net_sees_a_coloured_picture_as_pil_makes_it_grey(tmp_path: Path) -> None:
    """From its checkpoint, and in the served graph, too."""
    wanted = ClassificationHyperparameters(model="resnet-tiny", grey=True)
    build_resnet(wanted, LABELS).save_pretrained(tmp_path)
    model = TASK.load_model(tmp_path)
    colours = torch.randint(0, 256, (2, 16, 16, 3), dtype=torch.uint8)
    luma = [np.asarray(Image.fromarray(one.numpy()).convert("L").convert("RGB")) for one in colours]
    in_grey = torch.tensor(np.stack(luma))
    serving = TASK.serving_module(model)
    with torch.no_grad():
        scores = serving(colours)[0]
        assert torch.allclose(scores, serving(in_grey)[0], atol=2e-3), "L is rounded to 1 of 255"
        assert not torch.allclose(scores, serving(colours.flip(-1))[0], atol=2e-3)
        unit = normalize(to_unit(in_grey))
        assert torch.allclose(grey(unit), unit, atol=1e-5), "what is grey stays as it is"
        spread = (grey(normalize(to_unit(colours))) - unit).abs() * torch.tensor(STD)[:, None, None]
        assert spread.max() <= 0.5 / 255 + 1e-5


def test_small_nets_begin_at_the_pictures_size_and_halve_it_twice() -> None:
    model = build("resnet-cifar-8")
    nn.Module.eval(model)
    sizes = []
    for stage in (model.resnet.embedder, *model.resnet.encoder.stages):
        stage.register_forward_hook(lambda _, __, output: sizes.append(tuple(output.shape[1:])))
    model(pixel_values=torch.zeros(1, 3, 32, 48))
    assert sizes == [(16, 32, 48), (16, 32, 48), (32, 16, 24), (64, 8, 12)]


def test_small_net_is_the_same_from_its_checkpoint(tmp_path: Path) -> None:
    model = build("resnet-cifar-8")
    nn.Module.eval(model)
    model.save_pretrained(tmp_path)
    image = torch.rand(2, 3, 20, 24)
    again = TASK.load_model(tmp_path)
    assert torch.equal(again(pixel_values=image).logits, model(pixel_values=image).logits)
    begun = build(str(tmp_path))
    nn.Module.eval(begun)
    assert torch.equal(begun(pixel_values=image).logits, model(pixel_values=image).logits)
