"""A job's hyperparameters become the trainer's own, which mean the same."""

from typing import Final

import pytest

from contract.errors import OptionsError
from tests.trainer.sagemaker.job import asked
from trainer.classification_hyperparameters import ClassificationHyperparameters
from trainer.detector_sizes import SIZES
from trainer.sagemaker.detection_models import DEFAULT_MODEL, DETECTION_MODELS
from trainer.sagemaker.hyperparameters import Host
from trainer.tasks import TaskName

TWO_GPUS: Final = Host(processes=2, has_gpu=True)
NO_SUMS: Final = {"initial_accumulator_value": "0"}
LARGE: Final = "tensorflow-od1-ssd-resnet152-v1-fpn-1024x1024-coco17-tpu-8"

Case = tuple[TaskName, dict[str, str], dict[str, object]]
CASES: Final[dict[str, Case]] = {
    "classification by default": (
        "image-classification",
        {},
        {
            "model": "resnet-152",
            "pretrained": False,
            "input_size": 224,
            "num_train_epochs": 30,
            "per_device_train_batch_size": 32,
            "learning_rate": 0.1,
            "optimizer": "sgd",
            "momentum": 0.9,
            "weight_decay": 0.0001,
            "lr_scheduler": "constant",
            "warmup_ratio": 0.0,
            "max_grad_norm": 0.0,
            "precision": "fp32",
            "augmentation": "none",
            "train_fit": "crop",
            "resize": 0,
            "multi_label": False,
            "top_k": 0,
            "published_checkpoint": "best",
            "checkpoint_epochs": 1,
            "early_stopping": False,
            "early_stopping_min_epochs": 10,
        },
    ),
    "classification that ends early": (
        "image-classification",
        {
            "early_stopping": "True",
            "early_stopping_min_epochs": "3",
            "early_stopping_patience": "2",
            "early_stopping_tolerance": "0.1",
            "checkpoint_frequency": "4",
        },
        {
            "early_stopping": True,
            "early_stopping_min_epochs": 3,
            "early_stopping_patience": 2,
            "early_stopping_tolerance": 0.1,
            "checkpoint_epochs": 4,
        },
    ),
    "a rate that falls": (
        "image-classification",
        {"lr_scheduler_step": "10, 20", "lr_scheduler_factor": "0.5"},
        {"lr_scheduler": "step", "lr_scheduler_step": (10, 20), "lr_scheduler_factor": 0.5},
    ),
    "a net for small pictures": (
        "image-classification",
        {"num_layers": "20", "image_shape": "3,32,32"},
        {"model": "resnet-cifar-20", "input_size": 32},
    ),
    "a picture that is no square": (
        "image-classification",
        {"image_shape": "3,32,48", "resize": "64", "top_k": "3"},
        {"input_size": 32, "input_width": 48, "resize": 64, "top_k": 3},
    ),
    "several labels": (
        "image-classification",
        {"multi_label": "1", "use_weighted_loss": "1", "top_k": "2"},
        {"multi_label": True, "use_weighted_loss": True, "top_k": 0},
    ),
    "adam": (
        "image-classification",
        {"optimizer": "adam", "beta_1": "0.8", "beta_2": "0.99", "eps": "1e-6"},
        {"optimizer": "adam", "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-6, "weight_decay": 0.0},
    ),
    "rmsprop": (
        "image-classification",
        {"optimizer": "rmsprop", "gamma": "0.95", "momentum": "0.5"},
        {"optimizer": "rmsprop", "rho": 0.95, "momentum": 0.0, "weight_decay": 0.0},
    ),
    "nag without momentum": (
        "image-classification",
        {"optimizer": "nag", "momentum": "0"},
        {"optimizer": "sgd", "momentum": 0.0},
    ),
    "weights of ImageNet": (
        "image-classification",
        {"use_pretrained_model": "1", "num_layers": "50"},
        {"model": "resnet-50", "pretrained": True},
    ),
    "crop_color_transform": (
        "image-classification",
        {"augmentation_type": "crop_color_transform"},
        {"augmentation": "crop_color_transform"},
    ),
    "segmentation by default": (
        "semantic-segmentation",
        {},
        {
            "model": "fcn-resnet-50",
            "pretrained": True,
            "input_size": 240,
            "crop_size": 240,
            "base_size": 520,
            "syncbn": False,
            "num_train_epochs": 10.0,
            "per_device_train_batch_size": 16,
            "per_device_eval_batch_size": 16,
            "learning_rate": 0.001,
            "optimizer": "sgd",
            "momentum": 0.9,
            "weight_decay": 0.0001,
            "lr_scheduler": "poly",
            "decay_power": 0.9,
            "warmup_ratio": 0.0,
            "max_grad_norm": 0.0,
            "published_checkpoint": "best",
            "early_stopping": False,
            "early_stopping_min_epochs": 5,
            "early_stopping_patience": 4,
        },
    ),
    "a deeper segmentation": (
        "semantic-segmentation",
        {"algorithm": "deeplab", "backbone": "resnet-101", "crop_size": "33", "syncbn": "True"},
        {"model": "deeplab-resnet-101", "input_size": 40, "crop_size": 40, "syncbn": True},
    ),
    "segmentation from random weights, rmsprop": (
        "semantic-segmentation",
        {"use_pretrained_model": "False", "optimizer": "rmsprop", "gamma1": "0.8", "gamma2": "0.7"},
        {
            "pretrained": False,
            "optimizer": "rmsprop",
            "rho": 0.8,
            "momentum": 0.7,
            "weight_decay": 0.0,
        },
    ),
    "segmentation by steps": (
        "semantic-segmentation",
        {"lr_scheduler": "step", "lr_scheduler_step": "2, 4", "lr_scheduler_factor": "0.5"},
        {"lr_scheduler": "step", "lr_scheduler_step": (2, 4), "lr_scheduler_factor": 0.5},
    ),
    "segmentation by adagrad": (
        "semantic-segmentation",
        {"optimizer": "adagrad"},
        {"optimizer": "adagrad", "epsilon": 1e-7, "momentum": 0.0, "weight_decay": 0.0},
    ),
    "detection by default": (
        "object-detection",
        {},
        {
            "model": "rtdetr-v2-r50",
            "pretrained": True,
            "input_size": 640,
            "num_train_epochs": 5.0,
            "per_device_train_batch_size": 3,
            "learning_rate": 0.001,
            "optimizer": "adam",
            "epsilon": 1e-7,
            "weight_decay": 0.0,
            "lr_scheduler": "constant",
            "train_only_top_layer": False,
            "reinitialize_top_layer": "auto",
            "published_checkpoint": "best",
        },
    ),
    "a large detector": (
        "object-detection",
        {"model_id": LARGE, "reinitialize_top_layer": "True"},
        {
            "model": "rtdetr-v2-r101",
            "input_size": 1024,
            "num_train_epochs": 1.0,
            "train_only_top_layer": True,
            "reinitialize_top_layer": "true",
        },
    ),
    "a detector by its own name": (
        "object-detection",
        {"model_id": "dfine-tiny", "input_size": "64"},
        {"model": "dfine-tiny", "input_size": 64, "pretrained": False},
    ),
    "detection that ends early": (
        "object-detection",
        {
            "early_stopping": "True",
            "early_stopping_patience": "2",
            "early_stopping_min_delta": "0.1",
        },
        {
            "early_stopping": True,
            "early_stopping_min_epochs": 1,
            "early_stopping_patience": 2,
            "early_stopping_min_delta": 0.1,
        },
    ),
    "nesterov": (
        "object-detection",
        {"optimizer": "nesterov", "momentum": "0.5"},
        {"optimizer": "nag", "momentum": 0.5},
    ),
    "adagrad": (
        "object-detection",
        {"optimizer": "adagrad", "initial_accumulator_value": "0.2", "eps": "0.5"},
        {"optimizer": "adagrad", "initial_accumulator_value": 0.2, "epsilon": 0.5},
    ),
    "adadelta": (
        "object-detection",
        {"optimizer": "adadelta", "rho": "0.9"},
        {"optimizer": "adadelta", "rho": 0.9, "momentum": 0.0},
    ),
}


@pytest.mark.parametrize(("algorithm", "values", "expected"), CASES.values(), ids=CASES)
def test_a_job_has_its_recipe(
    algorithm: TaskName, values: dict[str, str], expected: dict[str, object]
) -> None:
    recipe = asked(algorithm, **values).recipe().model_dump()
    assert {name: recipe[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [("image-classification", "mini_batch_size"), ("object-detection", "batch_size")],
)
def test_a_mini_batch_is_split_over_the_processes_of_a_host(algorithm: TaskName, name: str) -> None:
    even, odd = asked(algorithm, **{name: "8"}), asked(algorithm, **{name: "5"})
    assert even.recipe(TWO_GPUS).per_device_train_batch_size == 4
    assert odd.recipe(TWO_GPUS).per_device_train_batch_size == 3
    told = f"{name}: 5 pictures are split over 2 processes as 3 each, so that a step sees 6"
    assert told in odd.notes(TWO_GPUS)
    assert not [note for note in even.notes(TWO_GPUS) if note.startswith(name)]


def test_a_batch_norm_sees_two_pictures_at_least() -> None:
    wanted = asked("image-classification", mini_batch_size="1")
    assert wanted.recipe().per_device_train_batch_size == 2
    assert wanted.notes() == [
        "mini_batch_size: 1 pictures are split over 1 processes as 2 each, so that a step sees 2"
    ]


def test_float16_is_for_gpus() -> None:
    wanted = asked("image-classification", precision_dtype="float16")
    assert wanted.recipe(TWO_GPUS).precision == "fp16"
    assert wanted.recipe().precision == "auto"
    assert wanted.notes(TWO_GPUS) == []
    assert wanted.notes() == [
        "precision_dtype: no GPU for float16; bf16 if the CPU has it, else float32"
    ]


def test_what_has_no_meaning_here_is_accepted_and_said() -> None:
    classification = asked(
        "image-classification",
        kv_store="dist_async",
        use_weighted_loss="1",
        image_shape="1,28,28",
    )
    assert [note.partition(":")[0] for note in classification.notes()] == [
        "kv_store",
        "use_weighted_loss",
        "image_shape",
    ]
    detection = asked("object-detection", regularizers_l2="0.1", eps="0.1", leaning_rate="1")
    assert detection.notes()[:3] == [
        "leaning_rate: unknown option; did you mean learning_rate? (ignored)",
        "regularizers_l2: is ignored; SageMaker's own table has no such name",
        "eps: is epsilon",
    ]


def test_one_channel_is_grey() -> None:
    for shape, is_grey in (("1,28,28", True), ("3,28,28", False)):
        recipe = asked("image-classification", image_shape=shape).recipe()
        assert isinstance(recipe, ClassificationHyperparameters)
        assert recipe.grey == is_grey


@pytest.mark.parametrize("name", ["train_only_on_top_layer", "train_only_top_layer"])
def test_the_head_alone_is_trained_under_either_name(name: str) -> None:
    assert asked("object-detection", **{name: "True"}).recipe().train_only_top_layer
    large = asked("object-detection", model_id=LARGE, **{name: "False"})
    assert not large.recipe().train_only_top_layer


@pytest.mark.parametrize(
    ("algorithm", "values", "problem"),
    [
        (
            "image-classification",
            {"resize": "223"},
            "resize: got 223, expected at least the height and width of image_shape 3,224,224",
        ),
        (
            "image-classification",
            {"checkpoint_frequency": "31"},
            "checkpoint_frequency: got 31, expected no more than the 30 epochs",
        ),
        (
            "image-classification",
            {"use_pretrained_model": "1", "num_layers": "20", "image_shape": "3,224,224"},
            "num_layers: got 20 with use_pretrained_model, expected one of 18, 34, 50, 101, 152, "
            "of which there are weights",
        ),
        (
            "image-classification",
            {"use_pretrained_model": "1", "image_shape": "3,256,256"},
            "image_shape: got 3,256,256 with use_pretrained_model, expected 3,224,224",
        ),
        (
            "image-classification",
            {"optimizer": "adam", "beta_1": "1"},
            "beta_1: got 1.0, expected a number below 1 with optimizer adam, which divides by what "
            "it lacks to 1",
        ),
        *(
            (
                algorithm,
                {**values, name: "0"},
                f"{name}: got 0.0, expected a number above 0 with optimizer {values['optimizer']}, "
                "which divides by it where gradients are 0",
            )
            for algorithm, name, values in (
                ("image-classification", "eps", {"optimizer": "adam"}),
                ("image-classification", "eps", {"optimizer": "rmsprop"}),
                ("object-detection", "epsilon", {"optimizer": "adam"}),
                ("object-detection", "eps", {"optimizer": "rmsprop"}),
                ("object-detection", "epsilon", {"optimizer": "adadelta"}),
                ("object-detection", "epsilon", {"optimizer": "adagrad", **NO_SUMS}),
            )
        ),
        (
            "semantic-segmentation",
            {"lr_scheduler": "step"},
            "lr_scheduler_step: required with lr_scheduler step, but not given; expected rising "
            "numbers of epochs such as '10, 20'",
        ),
        (
            "semantic-segmentation",
            {"algorithm": "psp", "mini_batch_size": "1"},
            "mini_batch_size: got 1 with algorithm psp, expected at least 2, since it normalises "
            "one mean of each picture over the batch",
        ),
        (
            "object-detection",
            {"train_only_top_layer": "True", "train_only_on_top_layer": "False"},
            "train_only_top_layer: got True beside train_only_on_top_layer False; expected one of "
            "them, since they mean the same",
        ),
        (
            "object-detection",
            {"model_id": "dfine-tiny", "use_pretrained_model": "True"},
            "use_pretrained_model: got True, but the hub has no weights of dfine-tiny; expected "
            "False",
        ),
    ],
)
def test_what_cannot_be_wanted_together_is_refused(
    algorithm: TaskName, values: dict[str, str], problem: str
) -> None:
    with pytest.raises(OptionsError) as caught:
        asked(algorithm, **values)
    assert caught.value.problems == (problem,)


@pytest.mark.parametrize(
    ("algorithm", "values"),
    [
        ("image-classification", {"optimizer": "nag", "eps": "0"}),
        ("object-detection", {"optimizer": "sgd", "epsilon": "0"}),
        ("object-detection", {"optimizer": "adagrad", "epsilon": "0"}),
        ("object-detection", {"epsilon": "0.5", "eps": "0"}),
    ],
)
def test_an_epsilon_that_nothing_is_divided_by_may_be_0(
    algorithm: TaskName, values: dict[str, str]
) -> None:
    assert asked(algorithm, **values).recipe().epsilon in (0, 0.5)


def test_every_model_id_of_the_guide_has_a_detector() -> None:
    assert len(DETECTION_MODELS) == 13
    assert DEFAULT_MODEL in DETECTION_MODELS
    for model_id, model in DETECTION_MODELS.items():
        assert SIZES[model.detector].hub_id
        assert f"-{model.side}x{model.side}-" in model_id
        assert model.side % 32 == 0


def test_the_architecture_is_what_the_guides_compare() -> None:
    assert asked("image-classification", image_shape="3, 32,32").architecture() == {
        "num_layers": "152",
        "image_shape": "3,32,32",
        "num_classes": "4",
    }
    assert asked("semantic-segmentation", crop_size="33", algorithm="psp").architecture() == {
        "backbone": "resnet-50",
        "algorithm": "psp",
        "crop_size": "40",
        "num_classes": "4",
    }
    assert asked("object-detection").architecture() == {"model": "rtdetr-v2-r50"}
