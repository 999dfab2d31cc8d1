"""Prometheus' text format 0.0.4.

prometheus_client writes it too, but appends `_total` to the name of every counter, which Triton's
names have not.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Sample:
    """A number of a metric.

    Attributes:
        suffix: What follows the metric's name: `_bucket`, `_sum`, `_count` or nothing.
        labels: Its labels.
        value: The number.
    """

    suffix: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Family:
    """A metric with all its samples."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    samples: Sequence[Sample]


def buckets(
    labels: Mapping[str, str], bounds: Sequence[float], counts: Sequence[int], total: float
) -> Iterator[Sample]:
    """The samples of a histogram.

    Args:
        labels: Its labels.
        bounds: The upper bounds of all buckets but the last, which has none.
        counts: How often a value fell into each bucket.
        total: The sum of all values.
    """
    below = 0
    for bound, count in zip([*map(str, bounds), "+Inf"], counts, strict=True):
        below += count
        yield Sample("_bucket", {**labels, "le": bound}, below)
    yield Sample("_count", labels, below)
    yield Sample("_sum", labels, total)


def write(families: Iterable[Family]) -> str:
    """The metrics as text; those without a sample are left out."""
    return "".join(line for family in families if family.samples for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {family.text}\n"
    yield f"# TYPE {family.name} {family.kind}\n"
    for sample in family.samples:
        labels = ",".join(f'{name}="{_escape(text)}"' for name, text in sample.labels.items())
        braces = f"{{{labels}}}" if labels else ""
        yield f"{family.name}{sample.suffix}{braces} {sample.value!r}\n"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
