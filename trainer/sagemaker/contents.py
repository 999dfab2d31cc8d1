"""A channel -> what its content is: records, pictures, or an augmented manifest.

The content type decides, and the wrapper of records. Where SageMaker takes application/x-recordio
for two things, a manifest's pictures in a pipe and image records, the wrapper or the attribute
names tell them apart, and in a folder the manifest itself. `rec` and `lst` are older names.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

from trainer.datasets.annotated_picture import AnnotatedPicture
from trainer.datasets.augmented_manifest import read_augmented_manifest, read_wrapped_manifest
from trainer.errors import BadChannel, listed
from trainer.sagemaker.channel import Channel

Kind: TypeAlias = Literal["records", "pictures", "manifest"]

MANIFEST_SUFFIXES: Final = (".manifest", ".jsonl")
_RECORDIO: Final = ("application/x-recordio", "rec")
_PICTURES: Final = ("application/x-image", "image/jpeg", "image/png", "lst")


def kind_of(channel: Channel, *, has_list: bool = False) -> Kind:
    """What a channel of pictures and labels holds.

    Args:
        channel: The channel.
        has_list: Whether another channel lists its pictures, so that it is no manifest.

    Raises:
        BadChannel: The content type is none that is read, or does not go with a pipe.
    """
    said = channel.media_type
    if said and said not in (*_RECORDIO, *_PICTURES):
        raise BadChannel(
            f"channel {channel.name}: got the content type {channel.content_type!r}, expected "
            f"{_RECORDIO[0]} or {_PICTURES[0]}"
        )
    if channel.pipe:
        return _kind_of_pipe(channel)
    if has_list and said not in _RECORDIO:
        return "pictures"
    if channel.attribute_names or channel.files(*MANIFEST_SUFFIXES):
        return "manifest"
    if said in _RECORDIO or (not said and channel.files(".rec")):
        return "records"
    return "pictures"


def _kind_of_pipe(channel: Channel) -> Kind:
    if channel.recordio_wrapper or channel.attribute_names:
        return "manifest"
    if channel.media_type in ("", *_RECORDIO):
        return "records"
    raise BadChannel(
        f"channel {channel.name}: got {channel.content_type} in a pipe without records; expected "
        f"{_RECORDIO[0]}, or RecordWrapperType RecordIO"
    )


def refuse_pipe(channel: Channel) -> None:
    """Refuse what is read as a folder, but comes through a pipe.

    Raises:
        BadChannel: It does.
    """
    if channel.pipe:
        raise BadChannel(
            f"channel {channel.name}: got {channel.content_type or 'no content type'} in a pipe "
            "without records of an augmented manifest; expected RecordWrapperType RecordIO or "
            "AttributeNames, or TrainingInputMode File"
        )


def refuse_other_manifest(channel: Channel, missing: str) -> None:
    """Refuse pictures without the channel that says what they are, but with JSON of another name.

    Raises:
        BadChannel: There is such a file.
    """
    if found := [path.name for path in channel.files(".json")]:
        raise BadChannel(
            f"channel {missing!r} is missing; a manifest in its place is a "
            f"{' or '.join(MANIFEST_SUFFIXES)} file in channel {channel.name}; got "
            f"{', '.join(listed(found))}"
        )


def read_manifest(
    channel: Channel, workspace: Path, *, by_reference: bool
) -> Sequence[AnnotatedPicture]:
    """What the manifest of a channel names, or what a pipe brings of it.

    Raises:
        BadChannel: A pipe's attributes are not two.
        DatasetError: It cannot be meant, a line each.
        BucketError: An object cannot be fetched.
    """
    if channel.pipe:
        names = channel.attribute_names
        if len(names) not in (0, 2):
            raise BadChannel(
                f"channel {channel.name}: got the AttributeNames {', '.join(names)}, expected two: "
                "the picture's and its annotation's"
            )
        return read_wrapped_manifest(channel.spooled(workspace), by_reference=by_reference)
    return read_augmented_manifest(
        channel.only_file(*MANIFEST_SUFFIXES),
        channel.attribute_names,
        workspace / channel.name,
        by_reference=by_reference,
    )
