"""Each hyperparameter of SageMaker's three tables: its default, its range, and what is outside."""

import re
from pathlib import Path
from typing import Final

import pytest

from contract.errors import OptionsError
from contract.options import describe
from tests.trainer.sagemaker.job import REQUIRED, asked
from trainer.sagemaker.algorithms import ALGORITHMS
from trainer.tasks import TaskName

CONTRACTS: Final = Path(__file__).parents[4] / "shared" / "guide" / "contracts.md"
SECTIONS: Final[dict[TaskName, str]] = {
    "image-classification": "### 1.1",
    "semantic-segmentation": "### 2.1",
    "object-detection": "### 3.1",
}

# name: default, what is in its range, what is outside or of another kind
Row = tuple[object, tuple[str, ...], tuple[str, ...]]
_TRUTH: Final = (("True", "False", "true"), ("yes", "2", "maybe"))
_PART: Final = (("0", "0.5", "1"), ("-0.001", "1.001", "much", "nan", "inf"))
_COUNT: Final = (("1", "1000"), ("0", "-1", "1.5", "many"))
_HUGE: Final = "1" + 20 * "0"
_SWITCH: Final = (("0", "1"), ("2", "-1", "True"))
_EPOCHS: Final = (("10, 20", "1"), ("0", "20, 10", "late"))

CLASSIFICATION: Final[dict[str, Row]] = {
    "num_classes": (4, ("1", "100000"), ("0", "-1", "1.5", "many", "100001", _HUGE)),
    "num_training_samples": (100, *_COUNT),
    "augmentation_type": (
        "none",
        ("none", "crop", "crop_color", "crop_color_transform"),
        ("color", "Crop"),
    ),
    "beta_1": (0.9, *_PART),
    "beta_2": (0.999, *_PART),
    "checkpoint_frequency": (None, ("1", "30"), ("0", "31", "often")),
    "early_stopping": (False, *_TRUTH),
    "early_stopping_min_epochs": (10, *_COUNT),
    "early_stopping_patience": (5, *_COUNT),
    "early_stopping_tolerance": (0.0, *_PART),
    "epochs": (30, *_COUNT),
    "eps": (1e-8, *_PART),
    "gamma": (0.9, *_PART),
    "image_shape": (
        "3,224,224",
        ("3,224,224", "3, 32, 48", "1,28,28"),
        (
            "224",
            "3,224",
            "4,224,224",
            "3,-1,224",
            "3,224,2",
            "3x224x224",
            "3,224,224,1",
            "3,224,4097",
        ),
    ),
    "kv_store": (None, ("dist_sync", "dist_async"), ("local", "sync")),
    "learning_rate": (0.1, *_PART),
    "lr_scheduler_factor": (0.1, *_PART),
    "lr_scheduler_step": ((), *_EPOCHS),
    "mini_batch_size": (32, *_COUNT),
    "momentum": (0.9, *_PART),
    "multi_label": (0, *_SWITCH),
    "num_layers": (
        152,
        ("18", "34", "50", "101", "152", "200", "20", "32", "44", "56", "110"),
        ("19", "0", "-50", "deep"),
    ),
    "optimizer": ("sgd", ("sgd", "adam", "rmsprop", "nag"), ("adadelta", "SGD")),
    "precision_dtype": ("float32", ("float32", "float16"), ("bfloat16", "16")),
    "resize": (None, ("224", "4096"), ("0", "223", "4097", _HUGE, "big")),
    "top_k": (None, ("2", "5"), ("1", "0")),
    "use_pretrained_model": (0, *_SWITCH),
    "use_weighted_loss": (0, *_SWITCH),
    "weight_decay": (0.0001, *_PART),
}

SEGMENTATION: Final[dict[str, Row]] = {
    "backbone": ("resnet-50", ("resnet-50", "resnet-101"), ("resnet-18", "50")),
    "use_pretrained_model": (True, *_TRUTH),
    "algorithm": ("fcn", ("fcn", "psp", "deeplab"), ("deeplabv3", "unet")),
    "num_classes": (4, ("2", "254"), ("1", "255", "few")),
    "num_training_samples": (100, *_COUNT),
    "base_size": (520, ("17", "4096"), ("16", "0", "4097", _HUGE, "large")),
    "crop_size": (240, ("17", "4096"), ("16", "0", "4097", _HUGE, "small")),
    "early_stopping": (False, *_TRUTH),
    "early_stopping_min_epochs": (5, *_COUNT),
    "early_stopping_patience": (4, *_COUNT),
    "early_stopping_tolerance": (0.0, *_PART),
    "epochs": (10, *_COUNT),
    "gamma1": (0.9, *_PART),
    "gamma2": (0.9, *_PART),
    "learning_rate": (0.001, ("0.000001", "1"), ("0", "1.001", "slow")),
    "lr_scheduler": ("poly", ("poly", "cosine"), ("constant", "linear")),
    "lr_scheduler_factor": (0.1, *_PART),
    "lr_scheduler_step": ((), *_EPOCHS),
    "mini_batch_size": (16, *_COUNT),
    "momentum": (0.9, ("0.0001", "1"), ("0", "1.001", "some")),
    "optimizer": (
        "sgd",
        ("adam", "adagrad", "nag", "rmsprop", "sgd", "adadelta"),
        ("adamw", "nesterov"),
    ),
    "syncbn": (False, *_TRUTH),
    "validation_mini_batch_size": (16, *_COUNT),
    "weight_decay": (0.0001, ("0.00001", "0.999"), ("0", "1", "some")),
}

DETECTION: Final[dict[str, Row]] = {
    "epochs": (None, *_COUNT),  # 5 or 1 by the model
    "batch_size": (3, *_COUNT),
    "learning_rate": (0.001, *_PART),
    "optimizer": (
        "adam",
        ("adam", "sgd", "nesterov", "rmsprop", "adagrad", "adadelta"),
        ("nag", "adamw"),
    ),
    "beta_1": (0.9, ("0", "0.5"), ("-0.001", "1.001", "much")),
    "beta_2": (0.999, ("0", "0.5"), ("-0.001", "1.001", "much")),
    "momentum": (0.9, *_PART),
    "epsilon": (1e-7, ("1e-9", "0.5", "1"), ("-0.001", "1.001", "much", "nan", "inf")),
    "rho": (0.95, *_PART),
    "initial_accumulator_value": (0.1, *_PART),
    "early_stopping": (False, *_TRUTH),
    "early_stopping_patience": (5, *_COUNT),
    "early_stopping_min_delta": (0.0, *_PART),
    "reinitialize_top_layer": ("Auto", ("Auto", "True", "False", "auto", "TRUE"), ("yes", "1")),
    "train_only_on_top_layer": (None, *_TRUTH),  # by the model
    "train_only_top_layer": (None, *_TRUTH),
    "eps": (None, ("1e-9", "0.5", "1"), ("-0.001", "1.001", "much", "nan", "inf")),
    "regularizers_l2": (None, *_PART),
}
OURS: Final = {"model_id", "input_size", "use_pretrained_model"}
NOT_IN_THE_TABLE: Final = OURS | {"train_only_top_layer", "eps", "regularizers_l2"}

TABLES: Final[dict[TaskName, dict[str, Row]]] = {
    "image-classification": CLASSIFICATION,
    "semantic-segmentation": SEGMENTATION,
    "object-detection": DETECTION,
}
ROWS: Final = [
    pytest.param(algorithm, name, *row, id=f"{algorithm}-{name}")
    for algorithm, table in TABLES.items()
    for name, row in table.items()
]
BESIDE: Final = {
    ("image-classification", "top_k"): {"num_classes": "10"},
}


@pytest.mark.parametrize(("algorithm", "name", "default", "good", "bad"), ROWS)
def test_a_hyperparameter_has_its_default_and_range(
    algorithm: TaskName, name: str, default: object, good: tuple[str, ...], bad: tuple[str, ...]
) -> None:
    assert getattr(asked(algorithm), name) == default
    beside = BESIDE.get((algorithm, name), {})
    for text in good:
        assert name in asked(algorithm, **beside, **{name: text}).model_fields_set
    for text in bad:
        with pytest.raises(OptionsError) as caught:
            asked(algorithm, **beside, **{name: text})
        (problem,) = caught.value.problems
        assert re.match(rf"{name}: got .*, expected ", problem), problem


@pytest.mark.parametrize("algorithm", TABLES)
def test_the_table_has_every_hyperparameter(algorithm: TaskName) -> None:
    known = {row.name for row in describe(ALGORITHMS[algorithm])}
    assert set(TABLES[algorithm]) == known - (OURS if algorithm == "object-detection" else set())


@pytest.mark.parametrize("algorithm", TABLES)
def test_names_defaults_and_what_is_required_are_those_of_the_contract(
    algorithm: TaskName,
) -> None:
    if not CONTRACTS.is_file():
        pytest.skip(f"{CONTRACTS.name} of the project's guide is not here")
    fields = ALGORITHMS[algorithm].model_fields
    rows = contract_rows(algorithm)
    ours = NOT_IN_THE_TABLE if algorithm == "object-detection" else set()
    assert set(rows) == set(fields) - ours
    for name, cells in rows.items():
        required = "**yes**" in cells
        assert fields[name].is_required() == required, name
        if not required and name not in ("epochs", "train_only_on_top_layer"):
            assert_same_default(fields[name].default, cells, name)


def contract_rows(algorithm: TaskName) -> dict[str, list[str]]:
    """The cells of each name of an algorithm's table; names that stand in one row apart."""
    text = CONTRACTS.read_text(encoding="utf-8")
    section = text.partition(SECTIONS[algorithm])[2].partition("\n### ")[0]
    rows = {}
    for line in section.splitlines():
        first, *cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|") or first in ("name", "---"):
            continue
        names = [name.split("(")[0].strip() for name in first.split(" / ")]
        for index, name in enumerate(names):
            rows[name] = [
                cell.split(" / ")[index] if len(names) > 1 and " / " in cell else cell
                for cell in cells
            ]
    return rows


def assert_same_default(default: object, cells: list[str], name: str) -> None:
    """The contract writes defaults bare or in quotes, and `none` or a dash where there are none."""
    said = {cell.strip("\"'").lower() for cell in cells}
    if default in (None, ()):
        assert said & {"none", "-"}, name
    elif isinstance(default, float):
        assert default in {float(cell) for cell in said if re.fullmatch(r"[\d.e-]*\d", cell)}, name
    else:
        assert str(default).lower() in said, name


def test_every_fault_has_a_line() -> None:
    with pytest.raises(OptionsError) as caught:
        ALGORITHMS["image-classification"].parse(
            {"num_classes": "0", "epochs": "many", "momentun": "0.9", "optimizer": "adamw"},
            further=False,
        )
    assert sorted(caught.value.problems) == [
        "epochs: got 'many', expected int in (0, inf)",
        "momentun: unknown option; did you mean momentum?",
        "num_classes: got '0', expected int in (0, 100000]",
        "num_training_samples: required, but not given; expected int in (0, inf)",
        "optimizer: got 'adamw', expected sgd|adam|rmsprop|nag",
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lr_scheduler_step", "rising numbers of epochs such as '10, 20'"),
        ("early_stopping", "True or False"),
        ("epochs", "int in (0, inf)"),
    ],
)
def test_an_empty_value_is_told_what_is_expected(name: str, expected: str) -> None:
    with pytest.raises(OptionsError) as caught:
        asked("image-classification", **{name: ""})
    assert caught.value.problems == (f"{name}: got '', expected {expected}",)


@pytest.mark.parametrize("algorithm", REQUIRED)
def test_values_in_quotes_of_json_are_the_same(algorithm: TaskName) -> None:
    quoted = asked(algorithm, optimizer='"adam"', epochs='"7"')
    assert quoted == asked(algorithm, optimizer="adam", epochs="7")
