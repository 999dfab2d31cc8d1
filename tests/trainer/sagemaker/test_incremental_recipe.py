"""What a job asks `fit` for, beside a `model` channel."""

from pathlib import Path

import pytest

from tests.trainer.sagemaker.job import asked
from trainer.hyperparameters import Hyperparameters
from trainer.sagemaker.channel import Channel
from trainer.sagemaker.container import Container
from trainer.sagemaker.folders import Folders
from trainer.sagemaker.hosts import Hosts
from trainer.sagemaker.incremental import Architecture
from trainer.sagemaker.job import run_job
from trainer.sagemaker.settings import TrainSettings
from trainer.sagemaker.training_job import TrainingJob
from trainer.stopping import StopRequest


@pytest.mark.parametrize(
    ("given", "further", "wanted"),
    [
        ({}, False, "auto"),
        ({}, True, "false"),
        ({"reinitialize_top_layer": "Auto"}, True, "false"),
        ({"reinitialize_top_layer": "False"}, True, "false"),
        ({"reinitialize_top_layer": "True"}, True, "true"),
    ],
)
def test_a_head_is_kept_in_incremental_training_unless_the_job_says_otherwise(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    given: dict[str, str],
    further: bool,
    wanted: str,
) -> None:
    recipes: list[Hyperparameters] = []

    def fit(_settings: object, recipe: Hyperparameters, *_: object) -> None:
        recipes.append(recipe)

    monkeypatch.setattr("trainer.sagemaker.job.fit", fit)
    hyperparameters = asked("object-detection", **given)
    model = Channel("model", tmp_path, None, pipe=False, recordio_wrapper=False)
    job = TrainingJob(
        settings=TrainSettings(algorithm="object-detection"),
        folders=Folders(tmp_path),
        container=Container({}, {"model": model} if further else {}, Hosts("algo-1", ("algo-1",))),
        asked=hyperparameters,
        architecture=Architecture(
            algorithm="object-detection", values=hyperparameters.architecture()
        ),
        workspace=tmp_path,
        start=tmp_path / "checkpoint" if further else None,
    )
    assert run_job(job, 1, StopRequest()) == ""
    assert [recipe.reinitialize_top_layer for recipe in recipes] == [wanted]
