"""The order of the data and the augmentation depend on the seed and the epoch alone."""

import pytest
import torch

from trainer.augment import augment, canvas_size
from trainer.classification_hyperparameters import Augmentation
from trainer.normalization import normalize, to_unit
from trainer.pictures import EpochSampler

AUGMENTATIONS: tuple[Augmentation, ...] = ("none", "crop", "crop_color", "crop_color_transform")


def order(sampler: EpochSampler, epoch: int) -> list[int]:
    sampler.set_epoch(epoch)
    return list(sampler)


def test_each_epoch_is_another_permutation_of_all_pictures() -> None:
    sampler = EpochSampler(10, 4, seed=1)
    first, second = order(sampler, 0), order(sampler, 1)
    assert sorted(first) == list(range(10))
    assert sorted(second) == list(range(10, 20))
    assert first != [key - 10 for key in second]


def test_order_is_a_function_of_seed_and_epoch() -> None:
    assert order(EpochSampler(50, 4, seed=1), 3) == order(EpochSampler(50, 4, seed=1), 3)
    assert order(EpochSampler(50, 4, seed=1), 3) != order(EpochSampler(50, 4, seed=2), 3)


def test_lone_last_picture_is_left_out_another_one_each_epoch() -> None:
    sampler = EpochSampler(9, 4, seed=1)
    assert len(sampler) == 8
    left_out = [set(range(9)) - {key % 9 for key in order(sampler, epoch)} for epoch in range(5)]
    assert all(len(pictures) == 1 for pictures in left_out)
    assert len(set.union(*left_out)) > 1


def test_several_processes_leave_nothing_out() -> None:
    assert len(EpochSampler(9, 4, seed=1, processes=2)) == 9


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_augmentation_is_a_function_of_its_seed(augmentation: Augmentation) -> None:
    canvas = canvas_size(augmentation, 28)
    image = torch.randint(0, 256, (4, canvas, canvas, 3), dtype=torch.uint8)
    state = torch.random.get_rng_state()
    first = augment(image, augmentation, 28, [1, 2])
    torch.rand(3)
    again = augment(image, augmentation, 28, [1, 2])
    assert first.shape == (4, 3, 28, 28)
    assert torch.equal(first, again)
    assert torch.isfinite(first).all()
    assert torch.equal(augment(image, augmentation, 28, [1, 3]), first) == (augmentation == "none")
    torch.random.set_rng_state(state)


def test_without_augmentation_a_picture_is_what_evaluation_sees() -> None:
    image = torch.randint(0, 256, (2, 28, 28, 3), dtype=torch.uint8)
    assert torch.equal(augment(image, "none", 28, [1]), normalize(to_unit(image)))


def test_crop_only_moves_and_flips() -> None:
    image = torch.full((3, 32, 32, 3), 77, dtype=torch.uint8)
    cropped = augment(image, "crop", 28, [1])
    torch.testing.assert_close(cropped, normalize(to_unit(image))[:, :, :28, :28])
