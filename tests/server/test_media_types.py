import pytest

from server.errors import RequestError
from server.protocol.accept import choose_form, choose_media_type, takes_anything
from server.protocol.http_errors import NotAcceptable

OFFERED = ("application/json", "image/png")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("image/png", "image/png"),
        ("image/*", "image/png"),
        ("IMAGE/PNG; q=0.9", "image/png"),
        ("text/html, application/xml;q=0.9, */*;q=0.8", "application/json"),
        ("image/png;q=0.5, application/json", "application/json"),
        ("application/json;q=0.1, image/png;q=0.2", "image/png"),
        ("application/json;q=0, */*", "image/png"),
        ("*/*, application/json;q=0", "image/png"),
        ("application/*;q=0, */*;q=0.1", "image/png"),
        ("*/*;q=0, image/png", "image/png"),
        ("image/*;q=0, image/png;q=0.1", "image/png"),
        # RFC 9110, section 12.5.1: the narrowest range has a media type's quality.
        ("*/*, application/json;q=0.1, image/png;q=0.2", "image/png"),
        ("application/json;indent=2", "application/json"),
        (",", "application/json"),
    ],
)
def test_accept_chooses_what_it_prefers(accept: str | None, chosen: str) -> None:
    assert choose_media_type(accept, OFFERED) == chosen


@pytest.mark.parametrize("accept", ["text/html", "image/jpeg", "image/png;q=0", "*/*;q=0"])
def test_a_form_that_the_answer_lacks_is_refused_with_those_it_has(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="the answer can be application/json or image/png"):
        choose_media_type(accept, OFFERED)


@pytest.mark.parametrize("quality", ["x", "nan", "-0.1", "1.1", "inf", ""])
def test_a_quality_that_is_no_number_from_0_to_1_is_a_bad_request(quality: str) -> None:
    with pytest.raises(RequestError, match=f"quality '{quality}' is no number from 0 to 1"):
        choose_media_type(f"image/png;q={quality}", OFFERED)


def test_of_a_long_header_an_error_shows_the_begin() -> None:
    for accept in ("a" * 20_000, "image/png;q=" + "x" * 20_000):
        with pytest.raises(RequestError) as caught:
            choose_form(accept, OFFERED, {})
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("accept", "anything"),
    [
        ("", True),
        ("*/*", True),
        ("*/*;q=0.8", True),
        (" */* ; q=1 , ", True),
        ("*/*;q=0", False),
        ("*/*;n=2", False),
        ("application/json, */*", False),
    ],
)
def test_a_header_of_any_form_leaves_it_open(accept: str, anything: bool) -> None:
    assert takes_anything(accept) is anything


KNOWN = {"verbose": "verbose", "n": "n=N"}


@pytest.mark.parametrize(
    ("accept", "media_type", "parameters"),
    [
        ("", "application/json", {}),
        ("*/*;n=2", "application/json", {"n": "2"}),
        (
            "application/json;Verbose; N = 2;charset=utf-8",
            "application/json",
            {"verbose": "true", "n": "2"},
        ),
        ("application/json;other, image/png;n=1", "image/png", {"n": "1"}),
        ("application/json;q=0.1;n=1, application/json;q=0.5;n=2", "application/json", {"n": "2"}),
        ("application/json;n=1;q=0, */*", "application/json", {}),
        ("application/json;n=1, */*;q=0", "application/json", {"n": "1"}),
        ("*/*;n=1, application/json;q=0", "image/png", {"n": "1"}),
    ],
)
def test_a_form_has_its_parameters(
    accept: str, media_type: str, parameters: dict[str, str]
) -> None:
    form = choose_form(accept, OFFERED, KNOWN)
    assert (form.media_type, form.parameters) == (media_type, parameters)


def test_a_parameter_that_no_form_has_is_refused_with_those_there_are() -> None:
    offered = r"application/json\[;verbose\]\[;n=N\] or image/png\[;verbose\]\[;n=N\]"
    with pytest.raises(NotAcceptable, match=offered):
        choose_form("application/json;other=1", OFFERED, KNOWN)
