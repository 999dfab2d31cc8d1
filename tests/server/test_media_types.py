import pytest

from server.errors import NotAcceptable, RequestError
from server.protocol.accept import choose_form, choose_media_type

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
    ],
)
def test_accept_chooses_what_it_prefers(accept: str | None, chosen: str) -> None:
    assert choose_media_type(accept, OFFERED) == chosen


@pytest.mark.parametrize("accept", ["text/html", "image/jpeg", "image/png;q=0"])
def test_a_form_that_the_answer_lacks_is_refused_with_those_it_has(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="the answer can be application/json or image/png"):
        choose_media_type(accept, OFFERED)


def test_a_quality_that_is_no_number_is_a_bad_request() -> None:
    with pytest.raises(RequestError, match="quality 'x' is no number"):
        choose_media_type("image/png;q=x", OFFERED)


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
