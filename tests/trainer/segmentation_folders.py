"""Small segmentation datasets on disk, whose labels a tiny model tells by their colour."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LABELS = ("ground", "red", "blue")
FAST = (
    *("--task", "semantic-segmentation"),
    *("--model", "segformer-tiny"),
    *("--input_size", "64"),
    *("--learning_rate", "0.003"),
    *("--num_train_epochs", "8"),
)
_COLOURS = np.array([[120, 120, 120], [200, 40, 40], [40, 40, 200]])
_SPLITS = {"train": 16, "validation": 4, "test": 4}
_MODES = {"train": "P", "validation": "L", "test": "I;16"}


def write_blocks(folder: Path) -> Path:
    """Write EasyMaker's layout: 80 x 56 pixels, masks of each mode, a ring of 255 in some."""
    for split, count in _SPLITS.items():
        entries = []
        for index in range(count):
            rng = np.random.default_rng([len(split), index])
            mask = _mask(rng)
            pixels = _COLOURS[np.where(mask == 255, 0, mask)] + rng.integers(-20, 20, (56, 80, 3))
            for kind, image in (
                ("images", Image.fromarray(pixels.astype(np.uint8))),
                ("annotations", mask_image(mask, _MODES[split])),
            ):
                (folder / split / kind).mkdir(parents=True, exist_ok=True)
                image.save(folder / split / kind / f"{index:04d}.png")
            entries.append(entry(f"{index:04d}.png"))
        write_list(folder, split, entries)
    write_labels(folder, dict(enumerate(LABELS)))
    return folder


def entry(name: str) -> dict[str, str]:
    """A line of a split's list."""
    return {"image": f"images/{name}", "seg_map": f"annotations/{name}"}


def write_list(folder: Path, split: str, entries: object) -> Path:
    """Write a split's JSON file."""
    path = folder / split / f"{split}.json"
    path.write_text(json.dumps(entries))
    return path


def write_labels(folder: Path, labels: dict[int, str]) -> Path:
    """Write resources/id2lable.json."""
    path = folder / "resources" / "id2lable.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({str(index): label for index, label in labels.items()}))
    return path


def mask_image(mask: NDArray[np.uint8], mode: str) -> Image.Image:
    """Label ids as a picture of mode L, P or I;16."""
    if mode == "I;16":
        return Image.fromarray(mask.astype(np.uint16))
    image = Image.fromarray(mask)
    if mode == "P":
        image.putpalette(bytes(range(256)) * 3)
    return image


def _mask(rng: np.random.Generator) -> NDArray[np.uint8]:
    mask = np.zeros((56, 80), np.uint8)
    for label in (1, 2):
        top, left = int(rng.integers(0, 30)), int(rng.integers(0, 20)) + 40 * (label - 1)
        mask[top : top + 22, left : left + 20] = label
        if rng.random() < 0.5:
            mask[top, left : left + 20] = 255
    return mask
