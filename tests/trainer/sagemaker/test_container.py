"""A SageMaker container's configuration files, as SageMaker writes them and as nobody should."""

import json
from pathlib import Path

import pytest

from contract.errors import OptionsError
from trainer.sagemaker.channel import Channel
from trainer.sagemaker.container import (
    CHANNELS_FILE,
    HOSTS_FILE,
    HYPERPARAMETERS_FILE,
    LARGEST_FILE,
    read_container,
)
from trainer.sagemaker.folders import Folders
from trainer.sagemaker.given import Given
from trainer.sagemaker.hosts import ONE_HOST, Hosts


def configured(base: Path, **files: object) -> Folders:
    """A container with these configuration files, by name without the suffix."""
    folders = Folders(base)
    folders.config.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folders.config / f"{name}.json").write_text(text, encoding="utf-8")
    return folders


def test_the_folders_are_those_of_the_guide() -> None:
    folders = Folders()
    assert str(folders.config) == "/opt/ml/input/config"
    assert str(folders.data) == "/opt/ml/input/data"
    assert str(folders.model) == "/opt/ml/model"
    assert str(folders.checkpoints) == "/opt/ml/checkpoints"
    assert str(folders.output_data) == "/opt/ml/output/data"
    assert str(folders.failure) == "/opt/ml/output/failure"


def test_hyperparameters_are_text_without_those_of_sagemakers_tools(tmp_path: Path) -> None:
    values = {
        "num_layers": "18",
        "lr_scheduler_step": "10, 20",
        "epochs": 3,
        "early_stopping": True,
        "sagemaker_program": '"train.py"',
        "sagemaker_region": '"eu-west-1"',
        "_tuning_objective_metric": "validation:accuracy",
    }
    container = read_container(configured(tmp_path, hyperparameters=values))
    assert container.hyperparameters == {
        "num_layers": "18",
        "lr_scheduler_step": "10, 20",
        "epochs": "3",
        "early_stopping": "true",
    }


def test_channels_have_what_the_job_said_of_them(tmp_path: Path) -> None:
    for name in ("train", "model"):
        (tmp_path / "input" / "data" / name).mkdir(parents=True)
    channels = {
        "train": {
            "ContentType": "application/x-image",
            "TrainingInputMode": "File",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
        },
        "validation": {
            "ContentType": "application/x-recordio",
            "TrainingInputMode": "Pipe",
            "RecordWrapperType": "RecordIO",
            "AttributeNames": ["source-ref", "class"],
        },
        "model": {"TrainingInputMode": "FastFile"},
    }
    folders = configured(tmp_path, inputdataconfig=channels)
    data = folders.data
    assert read_container(folders).channels == {
        "train": Channel(
            "train", data / "train", "application/x-image", pipe=False, recordio_wrapper=False
        ),
        "validation": Channel(
            "validation",
            data / "validation",
            "application/x-recordio",
            pipe=True,
            recordio_wrapper=True,
            attribute_names=("source-ref", "class"),
        ),
        "model": Channel("model", data / "model", None, pipe=False, recordio_wrapper=False),
    }


def test_without_configuration_the_channels_are_the_folders_of_one_host(tmp_path: Path) -> None:
    for name in ("validation", "train", ".snapshot", "lost+found"):
        (tmp_path / "input" / "data" / name).mkdir(parents=True)
    container = read_container(Folders(tmp_path))
    assert [*container.channels] == ["train", "validation"]
    assert container.hyperparameters == {}
    assert container.hosts == ONE_HOST


def test_hosts_are_in_the_same_order_on_each(tmp_path: Path) -> None:
    resources = {
        "current_host": "algo-2",
        "current_instance_type": "ml.p3.2xlarge",
        "hosts": ["algo-2", "algo-1"],
        "network_interface_name": "eth0",
    }
    hosts = read_container(configured(tmp_path, resourceconfig=resources)).hosts
    assert hosts == Hosts("algo-2", ("algo-1", "algo-2"), "eth0")
    assert (hosts.count, hosts.rank, hosts.master) == (2, 1, "algo-1")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (HYPERPARAMETERS_FILE, '{"a": ', "cannot be read"),
        (HYPERPARAMETERS_FILE, "[" * 100_000, "cannot be read"),
        (HYPERPARAMETERS_FILE, '["a"]', "holds no JSON object"),
        (HYPERPARAMETERS_FILE, " " * (LARGEST_FILE + 1), "holds no JSON object"),
        (HYPERPARAMETERS_FILE, {"optimizer": ["sgd"]}, r"optimizer: got \['sgd'\]"),
        (HYPERPARAMETERS_FILE, {"optimizer": None}, "optimizer: got None"),
        (CHANNELS_FILE, {"../model": {}}, r"channel '\.\./model': expected up to 64 letters"),
        (CHANNELS_FILE, {"train": {"TrainingInputMode": "Fast"}}, "File, FastFile or Pipe"),
        (CHANNELS_FILE, {"train": {"RecordWrapperType": "rec"}}, "None or RecordIO"),
        (
            CHANNELS_FILE,
            {"train": {"ContentType": 3}},
            "channel train: ContentType: got 3, expected a text such as 'application/x-image'$",
        ),
        (CHANNELS_FILE, {"train": "x"}, "channel train: got 'x', expected a JSON object with Con"),
        (CHANNELS_FILE, {"train": None}, "channel train: got None, expected a JSON object"),
        (
            CHANNELS_FILE,
            {"train": {"AttributeNames": "class"}},
            r"AttributeNames: got 'class', expected a list of texts such as \['source-ref'",
        ),
        (
            CHANNELS_FILE,
            {"train": {"AttributeNames": ["a", 1, 2]}},
            r"train: AttributeNames: got \['a', 1, 2\], expected a list of texts such as [^\n]+$",
        ),
        (CHANNELS_FILE, {"test": {}}, "channel test: .*/test is no folder"),
        (HOSTS_FILE, {"hosts": ["a"]}, "current_host: required, but not given; expected the name"),
        (
            HOSTS_FILE,
            {"current_host": "a", "hosts": "a"},
            "hosts: got 'a', expected a list of names",
        ),
        (HOSTS_FILE, {"current_host": "b", "hosts": ["a"]}, "expected one of hosts, a"),
        (HOSTS_FILE, {"current_host": "a", "hosts": []}, r"hosts: got \[\], expected a list"),
        (HOSTS_FILE, {"current_host": "a", "hosts": ["a", "--x"]}, "got '--x'"),
        (
            HOSTS_FILE,
            {"current_host": "a", "hosts": ["a"], "network_interface_name": "eth0 x"},
            "network_interface_name: got 'eth0 x', expected the name of a network interface",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(
    tmp_path: Path, name: str, content: object, said: str
) -> None:
    (tmp_path / "input" / "data" / "train").mkdir(parents=True)
    folders = configured(tmp_path, **{name.removesuffix(".json"): content})
    with pytest.raises(OptionsError, match=said):
        read_container(folders)


def test_shards_of_the_data_are_for_one_host(tmp_path: Path) -> None:
    (tmp_path / "input" / "data" / "train").mkdir(parents=True)
    sharded = {"train": {"S3DistributionType": "ShardedByS3Key"}}
    folders = configured(tmp_path, inputdataconfig=sharded)
    assert [*read_container(folders).channels] == ["train"]
    hosts = {"current_host": "a", "hosts": ["a", "b"]}
    folders = configured(tmp_path, inputdataconfig=sharded, resourceconfig=hosts)
    with pytest.raises(OptionsError, match="'ShardedByS3Key' on 2 hosts, expected FullyRepl"):
        read_container(folders)


def test_what_is_null_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "input" / "data" / "train").mkdir(parents=True)
    null = dict.fromkeys(
        ("ContentType", "TrainingInputMode", "RecordWrapperType", "AttributeNames", "Other")
    )
    resources = {"current_host": "a", "hosts": ["a"], "network_interface_name": None}
    folders = configured(tmp_path, inputdataconfig={"train": null}, resourceconfig=resources)
    container = read_container(folders)
    train = folders.data / "train"
    assert container.channels == {
        "train": Channel("train", train, None, pipe=False, recordio_wrapper=False)
    }
    assert container.hosts == Hosts("a", ("a",), "")


def test_flags_win_over_a_file_of_hyperparameters(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text('{"epochs": "1", "num_layers": "18"}', encoding="utf-8")
    given = Given(file, ["--epochs", "2", "--optimizer=sgd", "--learning_rate", "-1"])
    assert given.values() == {
        "epochs": "2",
        "num_layers": "18",
        "optimizer": "sgd",
        "learning_rate": "-1",
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["epochs"], "unexpected argument 'epochs'"),
        (["--"], "unexpected argument '--'"),
        (["--epochs"], "epochs: required a value"),
    ],
)
def test_a_word_that_is_no_hyperparameter_is_refused(words: list[str], said: str) -> None:
    with pytest.raises(OptionsError, match=said):
        Given(None, words).values()


def test_a_file_of_hyperparameters_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=r"none\.json is no file"):
        Given(tmp_path / "none.json", []).values()
