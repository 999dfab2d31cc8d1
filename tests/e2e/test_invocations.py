"""What a container answers: every form of a task's answers, of every body that is read."""

import io
import re
from collections.abc import Mapping
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from contract.label_maps import resize_label_map
from server.recordio import MAGIC
from tests.e2e.containers import PICTURE, WIDE, invoke, success_count
from tests.picture_files import as_text, encode, instances, noise
from tests.tiny_detector import BOXES, CLASSES, detector_scores
from tests.tiny_models import LABELS, SIZE, colour_scores


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "application/*;q=0.5"])
def test_scores_are_a_list_in_the_order_of_the_classes(
    vision: httpx.Client, accept: str | None
) -> None:
    answer = invoke(vision, "colour", accept=accept)
    assert answer.headers["content-type"] == "application/json"
    (expected,) = colour_scores(noise(5)[None])
    np.testing.assert_allclose(answer.json(), expected, rtol=1e-5)


def test_scores_as_json_lines_are_written_as_in_sagemakers_guide(vision: httpx.Client) -> None:
    shown = '{"prediction": [prob_0, prob_1, prob_2, prob_3, ...]}'
    answer = invoke(vision, "colour", accept="application/jsonlines")
    assert answer.headers["content-type"] == "application/jsonlines"
    scores = invoke(vision, "colour").text.strip("[]")
    expected = re.sub(r"prob_0.*\.\.\.", scores, shown).replace(" ", "")
    assert answer.text == expected + "\n"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        *((kind, PICTURE) for kind in ("image/png", "image/jpeg", "application/octet-stream")),
        *((kind, PICTURE) for kind in ("IMAGE/PNG; charset=binary", None)),
        ("application/x-www-form-urlencoded", PICTURE),
        ("application/json", b'{"instances":[{"data":"%b"}]}' % as_text(PICTURE).encode()),
        (None, b'\n {"instances":[{"data":"%b"}]}' % as_text(PICTURE).encode()),
    ],
)
def test_every_way_to_send_a_picture_has_the_same_answer(
    vision: httpx.Client, content_type: str | None, body: bytes
) -> None:
    expected = invoke(vision, "colour").json()
    answer = invoke(vision, "colour", body, content_type)
    assert (answer.status_code, answer.json()) == (200, expected)


def test_several_pictures_are_a_list_or_lines(vision: httpx.Client) -> None:
    body = httpx.Request("POST", "http://-", json=instances(PICTURE, WIDE)).content
    listed = invoke(vision, "colour", body, "application/json").json()
    assert listed == [invoke(vision, "colour", file).json() for file in (PICTURE, WIDE)]
    lines = invoke(vision, "colour", body, "application/json", "application/jsonlines").text
    assert lines == "".join(
        invoke(vision, "colour", file, accept="application/jsonlines").text
        for file in (PICTURE, WIDE)
    )


def test_several_masks_are_refused_before_the_model_sees_a_picture(vision: httpx.Client) -> None:
    body = httpx.Request("POST", "http://-", json=instances(PICTURE, WIDE)).content
    before = success_count(vision, "parts")
    refused = invoke(vision, "parts", body, "application/json")
    assert refused.status_code == 400
    assert "an answer as image/png is of one picture" in refused.json()["error"]
    assert success_count(vision, "parts") == before


def _mask(vision: httpx.Client, file: bytes) -> Any:
    """V1's label map, at the model's size."""
    answer = vision.post("/v1/models/parts:predict", json=instances(file))
    return np.array(answer.json()["predictions"][0], np.uint8)


@pytest.mark.parametrize("accept", [None, "image/png", "image/*"])
def test_a_mask_has_the_pictures_own_size(vision: httpx.Client, accept: str | None) -> None:
    answer = invoke(vision, "parts", WIDE, "image/png", accept)
    assert answer.headers["content-type"] == "image/png"
    image = Image.open(io.BytesIO(answer.content))
    assert image.mode == "P"
    expected = resize_label_map(_mask(vision, WIDE), 16, 24)
    np.testing.assert_array_equal(np.asarray(image), expected)


def _probabilities(body: bytes, shape: tuple[int, ...]) -> Any:
    """The values of the only record of a body; they are its last field."""
    magic, length = np.frombuffer(body[:8], "<u4").tolist()
    assert magic == MAGIC
    assert len(body) == 8 + length + -length % 4
    size = 4 * int(np.prod(shape))
    return np.frombuffer(body[8 : 8 + length][-size:], "<f4").reshape(shape)


def test_the_most_probable_class_at_the_models_size_is_the_masks(vision: httpx.Client) -> None:
    record = invoke(vision, "parts", accept="application/x-protobuf").content
    chosen = _probabilities(record, (len(LABELS), SIZE, SIZE)).argmax(axis=0)
    np.testing.assert_array_equal(chosen, _mask(vision, PICTURE))


def test_a_jpeg_has_both_answers_of_sagemakers_guide_to_segmentation(
    vision: httpx.Client,
) -> None:
    """The mask in the form of the labels that it is trained with; and each class of each pixel."""
    jpeg = io.BytesIO()
    Image.fromarray(noise(5)).save(jpeg, "JPEG")
    mask, record = (
        invoke(vision, "parts", jpeg.getvalue(), "image/jpeg", accept)
        for accept in ("image/png", "application/x-recordio-protobuf")
    )
    image = Image.open(io.BytesIO(mask.content))
    assert (image.format, image.mode, image.size) == ("PNG", "P", (SIZE, SIZE))
    assert record.headers["content-type"] == "application/x-recordio-protobuf"
    probabilities = _probabilities(record.content, (len(LABELS), SIZE, SIZE))
    np.testing.assert_array_equal(probabilities.argmax(axis=0), np.asarray(image))
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-5)


def test_probabilities_of_a_large_picture_come_whole(vision: httpx.Client) -> None:
    large = encode(Image.fromarray(noise(7)).resize((900, 700)))
    answer = invoke(vision, "parts", large, accept="application/x-recordio-protobuf")
    values = _probabilities(answer.content, (len(LABELS), 700, 900))
    np.testing.assert_allclose(values.sum(axis=0), 1, atol=1e-5)


def test_probabilities_over_the_longest_record_are_refused(vision: httpx.Client) -> None:
    huge = encode(Image.new("L", (6700, 6700)))  # 3 float32 a pixel: 539 MB
    answer = invoke(vision, "parts", huge, accept="application/x-recordio-protobuf")
    assert answer.status_code == 413
    assert "the answer would take over 536870912 bytes" in answer.json()["error"]


def _best_first() -> "np.ndarray[Any, np.dtype[np.intp]]":
    return np.argsort(-detector_scores(noise(5)), kind="stable")


def test_boxes_are_all_of_them_best_first(vision: httpx.Client) -> None:
    answer = invoke(vision, "boxes").json()
    assert list(answer) == ["normalized_boxes", "classes", "scores"]
    order = _best_first()
    np.testing.assert_array_equal(answer["normalized_boxes"], BOXES[order].clip(0, 1))
    assert answer["classes"] == [CLASSES[i] for i in order]
    np.testing.assert_allclose(answer["scores"], detector_scores(noise(5))[order], rtol=1e-5)


def test_a_verbose_answer_has_the_keys_of_sagemakers_guide(vision: httpx.Client) -> None:
    answer = invoke(vision, "boxes", accept="application/json;verbose").json()
    assert answer["labels"] == list(LABELS)
    raw = answer["tensorflow_model_output"]
    (boxes,), (classes,) = raw["detection_boxes"], raw["detection_classes"]
    assert [[x0, y0, x1, y1] for y0, x0, y1, x1 in boxes] == answer["normalized_boxes"]
    assert (classes, raw["detection_scores"]) == (answer["classes"], [answer["scores"]])
    assert raw["num_detections"] == [len(BOXES)]
    shown = (
        '{"normalized_boxes":[[xmin1, xmax1, ymin1, ymax1],....], "classes":[classidx1, '
        'class_idx2,...], "scores":[score_1, score_2,...], "labels": [label1, label2, ...], '
        '"tensorflow_model_output":}'
    )
    keys = re.findall(r'"(\w+)":', shown)
    assert list(answer) == keys
    assert list(invoke(vision, "boxes", accept="application/json").json()) == keys[:3]


@pytest.mark.parametrize(
    "accept", ["application/json;n_predictions=2", "application/json; N_PREDICTIONS=2 ;q=0.9"]
)
def test_the_best_boxes_alone(vision: httpx.Client, accept: str) -> None:
    whole, best = invoke(vision, "boxes").json(), invoke(vision, "boxes", accept=accept).json()
    assert best == {name: values[:2] for name, values in whole.items()}


def test_parameters_stand_in_any_order(vision: httpx.Client) -> None:
    one, other = (
        invoke(vision, "boxes", accept=f"application/json;{order}").json()
        for order in ("verbose;n_predictions=1", "n_predictions=1;verbose")
    )
    assert one == other
    assert len(one["scores"]) == 1
    assert len(one["tensorflow_model_output"]["detection_scores"][0]) == len(BOXES)


@pytest.mark.parametrize(
    ("model", "accept", "offered"),
    [
        ("colour", "image/png", "application/json or application/jsonlines"),
        ("colour", "application/json;verbose", "application/json or application/jsonlines"),
        (
            "parts",
            "application/json",
            "image/png or application/x-recordio-protobuf or application/x-protobuf",
        ),
        ("boxes", "application/jsonlines", "application/json[;verbose][;n_predictions=N]"),
        ("boxes", "application/json;boxes=2", "application/json[;verbose][;n_predictions=N]"),
    ],
)
def test_an_accept_that_a_task_lacks_is_refused_with_what_it_has(
    vision: httpx.Client, model: str, accept: str, offered: str
) -> None:
    answer = invoke(vision, model, accept=accept)
    assert answer.status_code == 406
    assert answer.json() == {"error": f"Accept is {accept!r}; the answer can be {offered}"}


@pytest.mark.parametrize(
    ("model", "given", "status", "error"),
    [
        (
            "colour",
            {"content_type": "text/csv"},
            415,
            "Content-Type is 'text/csv'; expected image/*",
        ),
        ("colour", {"body": b""}, 400, "instance 0: zero bytes"),
        ("colour", {"content_type": "application/json"}, 400, "failed to parse the request JSON"),
        ("boxes", {"accept": "application/json;n_predictions=0"}, 400, "expected int in [1, inf)"),
        ("absent", {}, 404, "Request for unknown model: 'absent' is not found"),
    ],
)
def test_what_cannot_be_answered_is_one_line(
    vision: httpx.Client, model: str, given: Mapping[str, Any], status: int, error: str
) -> None:
    answer = invoke(vision, model, **given)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert error in answer.json()["error"]
