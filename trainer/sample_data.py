"""Drawn shapes -> a dataset of label folders, for demonstrations and tests.

Each picture shows one shape of a random colour, size, place and tilt on a noisy background of
another colour, so only the shape tells the label. The same seed draws the same files.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from PIL import Image, ImageDraw

from trainer.datasets.dataset import TEST, TRAIN, VALIDATION
from trainer.settings import SampleDataSettings

Point: TypeAlias = tuple[float, float]

_OVERSAMPLING: Final = 4
_NOISE: Final = 12.0  # standard deviation of the background, of 255
_TILT_DEG: Final = 20.0
_HELD_OUT: Final = 4  # one validation and one test picture for so many training pictures


def _polygon(corners: int, inner_radius: float = 1.0) -> Callable[[], list[Point]]:
    """Corners on the unit circle, every second one at `inner_radius`."""

    def points() -> list[Point]:
        radii = [1.0 if index % 2 == 0 else inner_radius for index in range(corners)]
        angles = [2 * math.pi * index / corners for index in range(corners)]
        return [
            (radius * math.cos(angle), radius * math.sin(angle))
            for radius, angle in zip(radii, angles, strict=True)
        ]

    return points


def _cross() -> list[Point]:
    arm = 0.32
    quarter = [(arm, 1.0), (arm, arm), (1.0, arm), (1.0, -arm), (arm, -arm), (arm, -1.0)]
    return quarter + [(-x, -y) for x, y in quarter]


SHAPES: Final[dict[str, Callable[[], list[Point]]]] = {
    "circle": _polygon(64),
    "square": _polygon(4),
    "star": _polygon(10, inner_radius=0.4),
    "triangle": _polygon(3),
    "cross": _cross,
    "sliver": _polygon(4, inner_radius=0.3),
}


def sample_data_command(folder: Path, settings: SampleDataSettings) -> str:
    """Draw a dataset; a line that says what is where."""
    counts = write_shapes(folder, settings)
    return ", ".join(f"{folder / split}: {count} pictures" for split, count in counts.items())


def write_shapes(folder: Path, settings: SampleDataSettings) -> dict[str, int]:
    """Write DIR/{train,validation,test}/{shape}/NNNN.png and return the pictures of each split."""
    held_out = max(1, settings.count // _HELD_OUT)
    counts = {TRAIN: settings.count, VALIDATION: held_out, TEST: held_out}
    shapes = list(SHAPES)[: settings.labels]
    for split_index, (split, count) in enumerate(counts.items()):
        for shape_index, shape in enumerate(shapes):
            target = folder / split / shape
            target.mkdir(parents=True, exist_ok=True)
            for index in range(count):
                random = np.random.default_rng([settings.seed, split_index, shape_index, index])
                draw_shape(shape, settings.size, random).save(target / f"{index:04d}.png")
    return {split: count * len(shapes) for split, count in counts.items()}


def draw_shape(shape: str, size: int, random: np.random.Generator) -> Image.Image:
    """One RGB picture of `size` x `size` pixels."""
    background = random.integers(0, 256, 3)
    foreground = (background + random.integers(80, 176, 3)) % 256
    noise = random.normal(0, _NOISE, (size, size, 3))
    canvas = Image.fromarray(np.clip(background + noise, 0, 255).astype(np.uint8))
    mask = Image.new("L", (size * _OVERSAMPLING, size * _OVERSAMPLING))
    ImageDraw.Draw(mask).polygon(_placed(SHAPES[shape](), size, random), fill=255)
    red, green, blue = (int(value) for value in foreground)
    canvas.paste(Image.new("RGB", canvas.size, (red, green, blue)), mask=mask.resize((size, size)))
    return canvas


def _placed(
    points: Sequence[Point], size: int, random: np.random.Generator
) -> list[tuple[float, float]]:
    """Unit-circle points -> oversampled pixels, randomly turned, scaled and moved."""
    radius = size * random.uniform(0.28, 0.45)
    x0, y0 = random.uniform(radius, size - radius, 2)
    angle = math.radians(random.uniform(-_TILT_DEG, _TILT_DEG))
    cos, sin = math.cos(angle), math.sin(angle)
    return [
        (
            _OVERSAMPLING * (x0 + radius * (cos * x - sin * y)),
            _OVERSAMPLING * (y0 + radius * (sin * x + cos * y)),
        )
        for x, y in points
    ]
