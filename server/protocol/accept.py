"""The Accept header: which of the forms that an answer has is wanted, and how.

A form may have parameters, which stand behind its media type: `application/json;n_predictions=5`;
a name alone is true.

Source: RFC 9110, section 12.5.1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from server.errors import RequestError
from server.protocol.http_errors import NotAcceptable

ACCEPT: Final = "Accept"

_WITHOUT_MEANING: Final = ("charset",)
_ANYTHING: Final = "*/*"
_SHOWN: Final = 100  # characters of a header, in an error


@dataclass(frozen=True, slots=True)
class Form:
    """A media type, or a range of them, with its parameters as text."""

    media_type: str
    parameters: Mapping[str, str]

    def covers(self, media_type: str) -> bool:
        """Whether that media type is in this range."""
        return self.media_type in (media_type, _ANYTHING, media_type.partition("/")[0] + "/*")

    @property
    def precision(self) -> int:
        """How narrow the range is: 0 of */*, 1 of image/*, 2 of a media type alone."""
        return 0 if self.media_type == _ANYTHING else 2 - self.media_type.endswith("/*")


@dataclass(frozen=True, slots=True)
class _Wish:
    """An entry of the header: a form, and how much it is liked, from 0, not at all, to 1."""

    form: Form
    quality: float


def choose_media_type(accept: str | None, offered: Sequence[str]) -> str:
    """The media type of `offered` that is preferred, whatever its parameters; the first for none.

    Raises:
        NotAcceptable: None of them is accepted.
        RequestError: A quality is none.
    """
    wishes = [
        _Wish(Form(wish.form.media_type, {}), wish.quality)
        for wish in _wishes(accept or "", ACCEPT)
    ]
    found = _preferred(wishes, offered, {})
    if found is None:
        raise NotAcceptable(_shown(accept or ""), offered)
    return found.media_type


def choose_form(
    accept: str, offered: Sequence[str], known: Mapping[str, str], said_by: str = ACCEPT
) -> Form:
    """The form that is preferred of the media types of `offered` with parameters of `known`.

    Args:
        accept: The header; */* and nothing are the first of `offered`.
        offered: Media types.
        known: Parameters of each of them, and how one is written.
        said_by: Where `accept` was read, for errors.

    Raises:
        NotAcceptable: None of them is accepted, or with other parameters alone.
        RequestError: A quality is none.
    """
    found = _preferred(_wishes(accept, said_by), offered, known)
    if found is None:
        optional = "".join(f"[;{written}]" for written in known.values())
        raise NotAcceptable(
            _shown(accept), [media_type + optional for media_type in offered], said_by
        )
    return found


def takes_anything(accept: str) -> bool:
    """Whether the header leaves the form open, however much it likes any.

    Raises:
        RequestError: A quality is none.
    """
    anything = Form(_ANYTHING, {})
    return all(wish.form == anything and wish.quality > 0 for wish in _wishes(accept, ACCEPT))


def _preferred(
    wishes: Sequence[_Wish], offered: Sequence[str], known: Mapping[str, str]
) -> Form | None:
    """The form that is liked best, the first of several; None if none of them is liked.

    The narrowest range that a media type is in decides about it. One with parameters is narrower
    still, and says nothing of the media type without them.
    """
    plain = [wish.form for wish in wishes if not wish.form.parameters]
    narrowest = {
        media_type: max((form.precision for form in plain if form.covers(media_type)), default=0)
        for media_type in offered
    }
    for wish in sorted(wishes, key=lambda wish: -wish.quality):
        form = wish.form
        if not wish.quality or not form.parameters.keys() <= known.keys():
            continue
        for media_type in offered:
            if form.covers(media_type) and form.precision >= narrowest[media_type]:
                return Form(media_type, form.parameters)
    return None


def _wishes(accept: str, said_by: str) -> list[_Wish]:
    """The entries of an Accept header; any form for none."""
    wishes = []
    entries = [entry for entry in accept.split(",") if entry.strip()]
    for entry in entries or [_ANYTHING]:
        media_range, *rest = (part.strip().lower() for part in entry.split(";"))
        parameters = dict(_parameter(text) for text in rest if text)
        text = parameters.pop("q", "1")
        for name in _WITHOUT_MEANING:
            parameters.pop(name, None)
        quality = _number(text)
        if not 0 <= quality <= 1:  # nan, too
            raise RequestError(
                f"{said_by} is {_shown(accept)!r}; "
                f"quality {_shown(text)!r} is no number from 0 to 1"
            )
        wishes.append(_Wish(Form(media_range, parameters), quality))
    return wishes


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _shown(text: str) -> str:
    return text[:_SHOWN]


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    return name.rstrip(), value.lstrip() if equals else "true"
