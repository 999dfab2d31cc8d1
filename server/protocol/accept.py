"""The Accept header: which of the forms that an answer has is wanted, and how.

A form may have parameters, which stand behind its media type: `application/json;n_predictions=5`;
a name alone is true.

Source: RFC 9110, section 12.5.1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from server.errors import NotAcceptable, RequestError

_WITHOUT_MEANING: Final = ("charset",)
_ANYTHING: Final = "*/*"


@dataclass(frozen=True, slots=True)
class Form:
    """A media type, or a range of them, with its parameters as text."""

    media_type: str
    parameters: Mapping[str, str]

    def covers(self, media_type: str) -> bool:
        """Whether that media type is in this range."""
        return self.media_type in (media_type, _ANYTHING, media_type.partition("/")[0] + "/*")


def choose_media_type(accept: str | None, offered: Sequence[str]) -> str:
    """The media type of `offered` that is preferred; the first for none or */*.

    Raises:
        NotAcceptable: None of them is accepted.
    """
    for wanted in _by_preference(accept or _ANYTHING):
        for media_type in offered:
            if wanted.covers(media_type):
                return media_type
    raise NotAcceptable(accept or "", offered)


def choose_form(accept: str, offered: Sequence[str], known: Mapping[str, str]) -> Form:
    """The form that is preferred of the media types of `offered` with parameters of `known`.

    Args:
        accept: The header; */* and nothing are the first of `offered`.
        offered: Media types.
        known: Parameters of each of them, and how one is written.

    Raises:
        NotAcceptable: None of them is accepted, or with other parameters alone.
    """
    for wanted in _by_preference(accept or _ANYTHING):
        for media_type in offered:
            if wanted.covers(media_type) and wanted.parameters.keys() <= known.keys():
                return Form(media_type, wanted.parameters)
    optional = "".join(f"[;{written}]" for written in known.values())
    raise NotAcceptable(accept, [media_type + optional for media_type in offered])


def takes_anything(accept: str) -> bool:
    """Whether the header leaves the form open."""
    return accept.strip() in ("", _ANYTHING)


def _by_preference(accept: str) -> list[Form]:
    """The forms of an Accept header, without those of quality 0, best first."""
    forms: list[tuple[float, Form]] = []
    for entry in accept.split(","):
        media_range, *rest = (part.strip().lower() for part in entry.split(";"))
        parameters = dict(_parameter(text) for text in rest if text)
        quality = parameters.pop("q", "1")
        for name in _WITHOUT_MEANING:
            parameters.pop(name, None)
        try:
            forms.append((float(quality), Form(media_range, parameters)))
        except ValueError as err:
            raise RequestError(f"Accept is {accept!r}; quality {quality!r} is no number") from err
    return [one for quality, one in sorted(forms, key=lambda pair: -pair[0]) if quality > 0]


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    return name.rstrip(), value.lstrip() if equals else "true"
