"""Drawn scenes: shapes of random colours, sizes, places and tilts on a noisy background.

One generator for the sample datasets of all tasks: a scene knows its picture, its mask and its
bounding boxes. A thing's colour says nothing about its label, so only its shape tells it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Point: TypeAlias = tuple[float, float]
BoxXywhPx: TypeAlias = tuple[int, int, int, int]

RADII_ALONE: Final = (0.28, 0.45)  # of the picture's size
RADII_TOGETHER: Final = (0.14, 0.28)

_OVERSAMPLING: Final = 4
_NOISE: Final = 12.0  # standard deviation of the background, of 255
_TILT_DEG: Final = 20.0
_TRIES: Final = 50  # to find a free place; then the scene has a thing less


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


@dataclass(frozen=True, slots=True)
class Place:
    """A circle in pixels, and the turn of what it holds."""

    x: float
    y: float
    radius: float
    angle: float

    def overlaps(self, other: "Place") -> bool:
        """Whether the circles share a point."""
        return math.hypot(self.x - other.x, self.y - other.y) < self.radius + other.radius


@dataclass(frozen=True, slots=True)
class Thing:
    """A shape in a scene.

    Attributes:
        shape: Its name in SHAPES.
        place: Where it is.
        coverage: What part of each pixel [H, W] it covers, of 255.
    """

    shape: str
    place: Place
    coverage: NDArray[np.uint8]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The pixels [H, W] that it covers at least by half."""
        return self.coverage >= 128

    @property
    def box(self) -> BoxXywhPx:
        """Left, top, width and height in pixels of its mask."""
        rows, columns = np.flatnonzero(self.mask.any(axis=1)), np.flatnonzero(self.mask.any(axis=0))
        left, top = int(columns[0]), int(rows[0])
        return left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1


@dataclass(frozen=True, slots=True)
class Scene:
    """A drawn picture and the things in it, which do not cover each other."""

    picture: Image.Image
    things: tuple[Thing, ...]

    def label_map(self, ids: Sequence[str]) -> NDArray[np.uint8]:
        """The index in `ids` of each pixel's thing [H, W]; 0 is the background."""
        pixels = np.zeros((self.picture.height, self.picture.width), np.uint8)
        for thing in self.things:
            pixels[thing.mask] = ids.index(thing.shape)
        return pixels


def draw_scene(
    shapes: Sequence[str], size: int, radii: tuple[float, float], random: np.random.Generator
) -> Scene:
    """An RGB picture of `size` x `size` pixels with a thing of each of `shapes` that finds room."""
    background = random.integers(0, 256, 3)
    colours = [(background + random.integers(80, 176, 3)) % 256 for _ in shapes]
    noise = random.normal(0, _NOISE, (size, size, 3))
    canvas = Image.fromarray(np.clip(background + noise, 0, 255).astype(np.uint8))
    things: list[Thing] = []
    for shape, colour in zip(shapes, colours, strict=True):
        place = _free_place([thing.place for thing in things], size, radii, random)
        if place is None:
            continue
        coverage = _coverage(SHAPES[shape](), place, size)
        red, green, blue = (int(value) for value in colour)
        canvas.paste(Image.new("RGB", canvas.size, (red, green, blue)), mask=coverage)
        things.append(Thing(shape, place, np.asarray(coverage)))
    return Scene(canvas, tuple(things))


def _free_place(
    taken: Sequence[Place], size: int, radii: tuple[float, float], random: np.random.Generator
) -> Place | None:
    for _ in range(_TRIES):
        radius = size * random.uniform(*radii)
        x, y = random.uniform(radius, size - radius, 2)
        angle = math.radians(random.uniform(-_TILT_DEG, _TILT_DEG))
        place = Place(x, y, radius, angle)
        if not any(place.overlaps(other) for other in taken):
            return place
    return None


def _coverage(points: Sequence[Point], place: Place, size: int) -> Image.Image:
    """Unit-circle points, turned, scaled and moved -> the part of 255 that each pixel is inside."""
    cos, sin = place.radius * math.cos(place.angle), place.radius * math.sin(place.angle)
    corners = [
        (
            _OVERSAMPLING * (place.x + cos * x - sin * y),
            _OVERSAMPLING * (place.y + sin * x + cos * y),
        )
        for x, y in points
    ]
    mask = Image.new("L", (size * _OVERSAMPLING, size * _OVERSAMPLING))
    ImageDraw.Draw(mask).polygon(corners, fill=255)
    return mask.resize((size, size))
