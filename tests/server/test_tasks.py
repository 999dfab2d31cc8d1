import io
from typing import Any

import numpy as np
import orjson
import pytest
from numpy.typing import NDArray
from PIL import Image

from contract.label_maps import voc_palette
from contract.model_config import ModelConfig, TensorSpec, make_model_config
from contract.options import Options
from contract.pictures import Picture
from server.errors import LoadError
from server.rendering import Dialect
from server.tasks.classification import Classification
from server.tasks.detection import Detection, DetectionOptions, IndexedOptions
from server.tasks.segmentation import (
    Segmentation,
    SegmentationOptions,
    encode_png,
    run_lengths,
)
from server.tasks.task import Task


def picture(width: int, height: int, content: tuple[int, int] = (8, 8)) -> Picture:
    return Picture(np.zeros((8, 8, 3), np.uint8), width, height, *content)


def config(*outputs: TensorSpec, **parameters: str) -> ModelConfig:
    return make_model_config(
        "m", 8, (TensorSpec("image", "UINT8", (8, 8, 3)),), outputs, parameters
    )


def test_equal_scores_are_answered_in_label_order() -> None:
    task = Classification(config(TensorSpec("scores", "FP32", (3,))), ("a", "b", "c"))
    scores = np.array([0.25, 0.5, 0.25], np.float32)
    answer = task.answer({"scores": scores}, picture(1, 1), Options())
    assert answer == [
        {"score": 0.5, "label": "b"},
        {"score": 0.25, "label": "a"},
        {"score": 0.25, "label": "c"},
    ]


def test_each_answer_is_written_where_it_is_made() -> None:
    """Not by who has all of a request's: to let go of a million objects takes 0.2 s at once."""
    task = Classification(config(TensorSpec("scores", "FP32", (3,))), ("a", "b", "c"))
    row, one = {"scores": np.array([0.25, 0.5, 0.125], np.float32)}, picture(1, 1)
    written = task.labelled()["application/json"].make(row, one, Options())
    assert isinstance(written, bytes)
    assert orjson.loads(written) == task.answer(row, one, Options())


@pytest.fixture
def segmentation() -> Segmentation:
    return Segmentation(config(TensorSpec("label_map", "UINT8", (8, 8))), ("sky", "road", "car"))


@pytest.fixture
def label_map() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 3, (8, 8)).astype(np.uint8)


def test_a_label_map_is_rows_of_ids(
    segmentation: Segmentation, label_map: NDArray[np.uint8]
) -> None:
    answer = segmentation.answer({"label_map": label_map}, picture(20, 10), SegmentationOptions())
    assert np.asarray(answer).tolist() == label_map.tolist()


def test_a_label_map_as_png_holds_the_ids_and_a_palette(
    segmentation: Segmentation, label_map: NDArray[np.uint8]
) -> None:
    options = SegmentationOptions(size="original")
    rendering = segmentation.labelled()["image/png"]
    data = rendering.make({"label_map": label_map}, picture(16, 24), options)
    image = Image.open(io.BytesIO(data))
    assert (image.mode, image.size) == ("P", (16, 24))
    expected = np.repeat(np.repeat(label_map, 3, axis=0), 2, axis=1)
    np.testing.assert_array_equal(np.asarray(image), expected)


def test_ids_past_255_make_a_16_bit_png() -> None:
    wide = np.arange(64, dtype=np.int32).reshape(8, 8) * 10
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(encode_png(wide)))), wide)


def test_the_palette_is_pascal_vocs() -> None:
    assert voc_palette()[[0, 1, 2, 3, 8, 20, 255]].tolist() == [
        [0, 0, 0],
        [128, 0, 0],
        [0, 128, 0],
        [128, 128, 0],
        [64, 0, 0],
        [0, 64, 128],
        [224, 224, 192],
    ]


@pytest.mark.parametrize("seed", range(20))
def test_run_lengths_decode_to_each_labels_mask(seed: int) -> None:
    rng = np.random.default_rng(seed)
    label_map = rng.integers(0, rng.integers(1, 5), tuple(rng.integers(1, 9, 2)))
    found = run_lengths(label_map.astype(np.uint8))
    assert list(found) == np.unique(label_map).tolist()
    for index, rle in found.items():
        assert rle["size"] == list(label_map.shape)
        counts = np.asarray(rle["counts"])
        assert (counts[1:] > 0).all()
        flat = np.repeat(np.arange(len(counts)) % 2, counts).astype(bool)
        np.testing.assert_array_equal(flat.reshape(label_map.shape[::-1]).T, label_map == index)


def test_run_lengths_name_every_label_of_the_map(
    segmentation: Segmentation, label_map: NDArray[np.uint8]
) -> None:
    options = SegmentationOptions(format="rle")
    rendering = segmentation.labelled()["application/json"]
    answer = orjson.loads(rendering.make({"label_map": label_map}, picture(8, 8), options))
    assert [(run["label_id"], run["label"]) for run in answer] == [
        (0, "sky"),
        (1, "road"),
        (2, "car"),
    ]
    assert sum(sum(run["rle"]["counts"][1::2]) for run in answer) == label_map.size


def detect(options: DetectionOptions, threshold: str = "0.5") -> object:
    task = Detection(config(threshold=threshold), ("balloon", "kite"))
    outputs = {
        "boxes": np.array([[0.1, 0.2, 0.5, 1.2], [-0.1, 0, 1, 1], [0, 0, 0.5, 0.5]], np.float32),
        "scores": np.array([0.6, 0.9, 0.4], np.float32),
        "labels": np.array([0, 1, 0], np.int32),
    }
    return task.answer(outputs, picture(200, 100), options)


def test_objects_are_boxes_in_the_pixels_of_the_picture_as_sent_best_first() -> None:
    assert detect(DetectionOptions()) == [
        {"kite": {"xmin": 0, "ymin": 0, "xmax": 200, "ymax": 100}},
        {"balloon": {"xmin": 20, "ymin": 20, "xmax": 100, "ymax": 100}},
    ]


def test_a_request_may_set_the_threshold_and_ask_for_scores() -> None:
    answer = detect(DetectionOptions(threshold=0.3, scores=True))
    assert isinstance(answer, list)
    assert [round(entry["score"], 3) for entry in answer] == [0.9, 0.6, 0.4]
    assert [next(iter(entry)) for entry in answer] == ["kite", "balloon", "balloon"]
    assert detect(DetectionOptions(), threshold="0.95") == []


def indexed(dialect: Dialect, options: IndexedOptions) -> dict[str, Any]:
    task = Detection(config(), ("balloon", "kite"))
    outputs = {
        "boxes": np.array([[0.125, 0.25, 0.5, 1.5], [0, 0, 1, 1]], np.float32),
        "scores": np.array([0.25, 0.75], np.float32),
        "labels": np.array([0, 1], np.int32),
    }
    rendering = task.indexed(dialect)["application/json"]
    found: dict[str, Any] = orjson.loads(rendering.make(outputs, picture(200, 100), options))
    return found


def test_boxes_by_index_are_in_the_order_of_corners_that_the_server_was_told() -> None:
    options = IndexedOptions()
    here = indexed(Dialect(), options)["normalized_boxes"]
    assert here == [[0, 0, 1, 1], [0.125, 0.25, 0.5, 1]]
    documents = indexed(Dialect(box_order="xxyy"), options)["normalized_boxes"]
    assert documents == [[0, 1, 0, 1], [0.125, 0.5, 0.25, 1]]


def test_more_boxes_than_there_are_are_all() -> None:
    assert indexed(Dialect(), IndexedOptions(n_predictions=9))["scores"] == [0.75, 0.25]


@pytest.mark.parametrize("named", [True, False])
def test_multi_label_scores_stay_in_the_order_of_the_classes(named: bool) -> None:
    outputs = TensorSpec("scores", "FP32", (3,))
    task = Classification(config(outputs, multi_label="true"), ("a", "b", "c"))
    rendering = task.indexed(Dialect(named=named))["application/json"]
    scores = {"scores": np.array([0.25, 0.75, 0.75], np.float32)}
    answer = orjson.loads(rendering.make(scores, picture(1, 1), Options()))
    assert answer == ({"prediction": [0.25, 0.75, 0.75]} if named else [0.25, 0.75, 0.75])


def test_a_segmenter_without_logits_has_masks_alone(segmentation: Segmentation) -> None:
    assert list(segmentation.indexed(Dialect())) == ["image/png"]


def test_the_content_size_goes_to_the_model_beside_the_padded_picture() -> None:
    inputs = Detection(config(), ("a",)).prepare(picture(200, 100, content=(8, 4)))
    assert inputs["size"].tolist() == [4, 8]
    assert inputs["size"].dtype == np.int32


@pytest.mark.parametrize("threshold", ["x", "2", "-0.1", "nan"])
def test_a_threshold_outside_0_to_1_is_refused_at_load(threshold: str) -> None:
    with pytest.raises(LoadError, match=r"not in \[0, 1\]"):
        Detection(config(threshold=threshold), ("a",))


@pytest.mark.parametrize("task", [Classification, Segmentation, Detection])
def test_a_model_without_labels_is_refused_at_load(task: type[Task]) -> None:
    with pytest.raises(LoadError, match="no output has a label_filename"):
        task(config(TensorSpec("scores", "FP32", (3,))), ())


def test_labels_of_another_number_than_the_classes_are_refused_at_load() -> None:
    with pytest.raises(LoadError, match="2 labels for 3 classes"):
        Classification(config(TensorSpec("scores", "FP32", (3,))), ("a", "b"))
    label_map, logits = (
        TensorSpec("label_map", "UINT8", (8, 8)),
        TensorSpec("logits", "FP32", (3, 2, 2)),
    )
    with pytest.raises(LoadError, match="2 labels for 3 classes"):
        Segmentation(config(label_map, logits), ("a", "b"))


def test_more_labels_than_a_png_can_tell_apart_are_refused_at_load() -> None:
    labels = tuple(str(index) for index in range(2**16 + 1))
    with pytest.raises(LoadError, match="65537 labels; a PNG has 16 bits"):
        Segmentation(config(TensorSpec("label_map", "INT32", (8, 8))), labels)


@pytest.mark.parametrize(
    ("size", "fault"), [([1, 8], ""), ([8, 8], ""), ([0, 8], "size is [0, 8]")]
)
def test_a_size_of_no_picture_is_a_fault(size: list[int], fault: str) -> None:
    found = Detection(config(), ("a",)).fault({"size": np.array(size, np.int32)})
    assert found.startswith(fault)
    assert bool(found) == bool(fault)
