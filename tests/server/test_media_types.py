import pytest

from server.errors import NotAcceptable, RequestError
from server.protocol.accept import choose_media_type

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
