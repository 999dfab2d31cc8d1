"""Semantic segmentation: label_map[H, W] -> rows of class ids, an indexed PNG, or run lengths."""

import base64
import io
from typing import ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from contract.label_maps import resize_label_map, voc_palette
from contract.model_config import ModelConfig
from contract.options import Options
from contract.pictures import Fit, Picture
from server.errors import LoadError
from server.tasks.task import Row

PNG: Final = "image/png"

LabelMap = NDArray[np.uint8] | NDArray[np.int32]
"""Class ids [H, W]."""


class SegmentationOptions(Options):
    """What a request may say of its label maps."""

    format: Literal["array", "png", "rle"] = Field(
        default="array", description="rows of class ids, an indexed PNG as base64, or run lengths"
    )
    size: Literal["model", "original"] = Field(
        default="model", description="the size of the model's map, or of the picture as sent"
    )


class Segmentation:
    """Answers with 512 rows of 512 class ids, EasyMaker's format, unless asked otherwise."""

    fit: ClassVar[Fit] = "squash"
    options: ClassVar[type[Options]] = SegmentationOptions
    bare_answer: ClassVar[bool] = False
    media_types: ClassVar[tuple[str, ...]] = (PNG,)

    def __init__(self, config: ModelConfig, labels: tuple[str, ...]) -> None:
        if not labels:
            raise LoadError(f"model '{config.name}': no output of it has a label_filename")
        self._labels = labels
        self._size = config.inputs[0].dims[0], config.inputs[0].dims[1]

    @property
    def picture_size(self) -> tuple[int, int]:
        """Height and width of the model's pictures."""
        return self._size

    def prepare(self, picture: Picture) -> Row:
        """The input `image`, RGB uint8 [H, W, 3]."""
        return {"image": picture.pixels}

    def answer(self, outputs: Row, picture: Picture, options: Options) -> object:
        """The label map as rows of ids; as {"png": base64}; or as a list of labels' runs."""
        assert isinstance(options, SegmentationOptions)  # noqa: S101  # this class's own type
        label_map = _sized(outputs["label_map"], picture, options)
        if options.format == "png":
            return {"png": base64.b64encode(encode_png(label_map)).decode()}
        if options.format == "rle":
            return [
                {"label": self._labels[index], "label_id": index, "rle": run_lengths(mask)}
                for index in np.unique(label_map).tolist()
                for mask in (label_map == index,)
            ]
        return label_map

    def render(self, _media_type: str, outputs: Row, picture: Picture, options: Options) -> bytes:
        """The label map as an indexed PNG."""
        assert isinstance(options, SegmentationOptions)  # noqa: S101  # this class's own type
        return encode_png(_sized(outputs["label_map"], picture, options))


def encode_png(label_map: LabelMap) -> bytes:
    """Class ids [H, W] -> a PNG of those values: 8 bits with a palette, or 16 bits past 255."""
    if label_map.max(initial=0) < 256:
        image = Image.fromarray(label_map.astype(np.uint8))
        image.putpalette(voc_palette().tobytes())
    else:
        image = Image.fromarray(label_map.astype(np.uint16))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def run_lengths(mask: NDArray[np.bool_]) -> dict[str, list[int]]:
    """A mask [H, W] in COCO's uncompressed form: {"size": [H, W], "counts": [...]}.

    The counts are runs of 0 and of 1 in turn, 0 first, down the columns.

    Source: pycocotools' mask API.
    """
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat, prepend=flat[:1])) if flat.size else np.zeros(0, int)
    edges = np.concatenate([[0], changes, [flat.size]])
    counts = np.diff(edges).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[:1].any() else counts}


def _sized(label_map: LabelMap, picture: Picture, options: SegmentationOptions) -> LabelMap:
    if options.size == "model":
        return label_map
    return resize_label_map(label_map, picture.height, picture.width)
