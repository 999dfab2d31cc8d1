"""The body of an invocation: one picture file, or V1's JSON of several."""

from typing import Final

from contract.options import Options
from server.decoder import PictureFile
from server.instances import parse_predict_request
from server.media_types import JSON
from server.protocol.body import Bodies
from server.protocol.http_errors import UnknownMediaType

_FILE: Final = "application/octet-stream"
_UNTOLD: Final = ("", "application/x-www-form-urlencoded")
"""What tells nothing: clients that are not told a type send none, and curl the other."""

PICTURES: Final = ("image/*", "application/x-image", _FILE)


async def read_pictures(
    bodies: Bodies, content_type: str | None, body: bytes
) -> tuple[PictureFile, ...]:
    """The picture files of a body.

    Raises:
        UnknownMediaType: The Content-Type is neither of pictures nor of JSON.
        RequestError: Its JSON is none, or not of V1's form.
    """
    if not _is_json(content_type or "", body):
        return (body,)
    return parse_predict_request(await bodies.json(body), Options).files


def _is_json(content_type: str, body: bytes) -> bool:
    name = content_type.partition(";")[0].strip().lower()
    if name in _UNTOLD:
        return body[:256].lstrip()[:1] == b"{"
    if name in PICTURES or name.startswith("image/"):
        return False
    if name == JSON:
        return True
    raise UnknownMediaType(content_type[:100], (*PICTURES, JSON))
