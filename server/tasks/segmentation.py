"""Semantic segmentation: label_map[H, W] -> rows of class ids, an indexed PNG, or run lengths.

And logits[K, h, w] -> the probabilities of each pixel, as a record.
"""

import base64
import io
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from contract.label_maps import resize_label_map, voc_palette
from contract.model_config import ModelConfig
from contract.options import Options
from contract.pictures import Picture
from server.errors import LoadError, RequestError
from server.execution import Row
from server.media_types import PNG, RECORDS
from server.probabilities import fill_probabilities
from server.recordio import frame_bytes, new_frame
from server.rendering import Body, Dialect, Rendering
from server.tasks.task import RequestOptions, Task

_PIXEL_BYTES = 5  # an id, and its digits and comma in JSON
_ROW_BYTES = 1000  # a row is an object of its own, which takes time more than memory
_MOST_LABELS = 1 << 16

LabelMap = NDArray[np.uint8] | NDArray[np.int32]
"""Class ids [H, W]."""


class SegmentationOptions(RequestOptions):
    """What a request may say of its label maps."""

    format: Literal["array", "png", "rle"] = Field(
        default="array", description="rows of class ids, an indexed PNG as base64, or run lengths"
    )
    size: Literal["model", "original"] = Field(
        default="model", description="the size of the model's map, or of the picture as sent"
    )


class Segmentation(Task):
    """Answers with 512 rows of 512 class ids, EasyMaker's format, unless asked otherwise."""

    options: ClassVar[type[Options]] = SegmentationOptions

    def __init__(self, config: ModelConfig, labels: tuple[str, ...]) -> None:
        super().__init__(config, labels)
        self._map_height, self._map_width = config.inputs[0].dims[:2]
        self._logits = "logits" in {spec.name for spec in config.outputs}
        classes = {spec.name: spec.dims[0] for spec in config.outputs}.get("logits", len(labels))
        if len(labels) != classes:
            raise LoadError(f"model '{config.name}': {len(labels)} labels for {classes} classes")
        if len(labels) > _MOST_LABELS:
            raise LoadError(f"model '{config.name}': {len(labels)} labels; a PNG has 16 bits")

    def answer_bytes(self, height: int, width: int, options: Options) -> int:
        """As much for each pixel of the label map, and more for each row."""
        if _own(options).size == "model":
            height, width = self._map_height, self._map_width
        return _own_size_bytes(height, width, options)

    def answer(self, outputs: Row, picture: Picture, options: Options) -> object:
        """The label map as rows of ids; as {"png": base64}; or as a list of labels' runs."""
        label_map = _sized(outputs["label_map"], picture, _own(options))
        if _own(options).format == "png":
            return {"png": base64.b64encode(encode_png(label_map)).decode()}
        if _own(options).format == "rle":
            return [
                {"label": self.labels[index], "label_id": index, "rle": rle}
                for index, rle in run_lengths(label_map).items()
            ]
        return label_map

    def labelled(self) -> Mapping[str, Rendering[Body]]:
        """As JSON, and the label map alone as an indexed PNG."""
        return {**super().labelled(), PNG: Rendering(_png, self.answer_bytes)}

    def indexed(self, _dialect: Dialect) -> Mapping[str, Rendering[Body]]:
        """The label map at the picture's own size, as a PNG; of a model with logits, records."""
        forms: dict[str, Rendering[Body]] = {PNG: Rendering(_own_size_png, _own_size_bytes)}
        if self._logits:
            record: Rendering[Body] = Rendering(_record, self._record_bytes)
            forms |= dict.fromkeys(RECORDS, record)
        return forms

    def _record_bytes(self, height: int, width: int, _options: Options) -> int:
        return frame_bytes((1, len(self.labels), height, width))


def _png(outputs: Row, picture: Picture, options: Options) -> bytes:
    asked = _own(options)
    if "format" in asked.model_fields_set and asked.format != "png":
        raise RequestError(
            f"Accept asks for {PNG}, parameters.format for {asked.format!r}; "
            "expected one of both, or png"
        )
    return encode_png(_sized(outputs["label_map"], picture, asked))


def _own_size_png(outputs: Row, picture: Picture, _options: Options) -> bytes:
    return encode_png(resize_label_map(outputs["label_map"], picture.height, picture.width))


def _own_size_bytes(height: int, width: int, _options: Options) -> int:
    return height * (_ROW_BYTES + _PIXEL_BYTES * width)


def _record(outputs: Row, picture: Picture, _options: Options) -> memoryview:
    """The probabilities [1, K, H, W] of the picture's pixels."""
    logits = np.ascontiguousarray(outputs["logits"], np.float32)
    frame, probabilities = new_frame((1, len(logits), picture.height, picture.width))
    fill_probabilities(logits, probabilities[0])
    return frame


def encode_png(label_map: LabelMap) -> bytes:
    """Class ids [H, W] -> a PNG of those values: of uint8 with a palette, else of 16 bits."""
    if label_map.dtype == np.uint8:
        image = Image.fromarray(label_map)
        image.putpalette(voc_palette().tobytes())
    else:
        image = Image.fromarray(label_map.astype(np.uint16))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def run_lengths(label_map: LabelMap) -> dict[int, dict[str, object]]:
    """Class ids [H, W] -> each id's mask in COCO's uncompressed form {"size", "counts"}.

    The counts are runs of 0 and of 1 in turn, 0 first, down the columns. One pass over the pixels
    finds the runs of all ids.

    Source: pycocotools' mask API.
    """
    flat = label_map.ravel(order="F")
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    ends = np.append(starts[1:], flat.size)
    ids = flat[starts]
    order = np.argsort(ids, kind="stable")
    known, first = np.unique(ids[order], return_index=True)
    found: dict[int, dict[str, object]] = {}
    for index, runs in zip(known.tolist(), np.split(order, first[1:]), strict=True):
        edges = np.stack([starts[runs], ends[runs]], axis=1).ravel()
        counts = np.diff(edges, prepend=0, append=flat.size)
        # Nothing is behind a run that ends with the map.
        counts = counts[:-1] if edges[-1] == flat.size else counts
        found[index] = {"size": list(label_map.shape), "counts": counts}
    return found


def _own(options: Options) -> SegmentationOptions:
    assert isinstance(options, SegmentationOptions)  # noqa: S101  # this class's own type
    return options


def _sized(label_map: LabelMap, picture: Picture, options: SegmentationOptions) -> LabelMap:
    if options.size == "model":
        return label_map
    return resize_label_map(label_map, picture.height, picture.width)
