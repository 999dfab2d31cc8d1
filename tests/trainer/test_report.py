"""The table at the end of a training."""

from trainer.report import table


def test_a_metric_that_one_split_lacks_is_a_dash_there() -> None:
    rows = {"validation": {"map": 0.5}, "test": {"map": 0.25, "map_small": 1.0}}
    assert table(rows).splitlines() == [
        "| split      |    map |   map_small |",
        "|------------|--------|-------------|",
        "| validation | 0.5000 |      -      |",
        "| test       | 0.2500 |      1.0000 |",
    ]


def test_metrics_of_one_class_are_in_no_column() -> None:
    (head, *_) = table({"test": {"map": 0.25, "map/star": 1.0}}).splitlines()
    assert head == "| split   |    map |"
