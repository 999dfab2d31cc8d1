"""Small trainings compute in one thread, others in all."""

from collections.abc import Iterator

import pytest
import torch

from trainer.classification_hyperparameters import ClassificationHyperparameters
from trainer.resnet import build_resnet
from trainer.threads import fitting_threads


@pytest.fixture
def _three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_three_threads")
@pytest.mark.parametrize(
    ("name", "input_size", "threads"),
    [("resnet-tiny", 32, 1), ("resnet-tiny", 512, 3), ("resnet-50", 28, 3)],
)
def test_small_trainings_compute_in_one_thread(name: str, input_size: int, threads: int) -> None:
    wanted = ClassificationHyperparameters(model=name, input_size=input_size)
    with fitting_threads(build_resnet(wanted, ("a", "b")), input_size):
        assert torch.get_num_threads() == threads
    assert torch.get_num_threads() == 3
