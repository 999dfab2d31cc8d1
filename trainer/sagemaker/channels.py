"""The channels of a SageMaker training job: what the container's configuration says of each."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Channel:
    """One input of a training job.

    Attributes:
        name: The channel's name, such as `train`.
        folder: Its folder; in Pipe mode the one that its FIFOs `NAME_EPOCH` lie in.
        content_type: The MIME type that the job gave, parameters included, or None.
        pipe: Whether it is streamed (Pipe mode) instead of lying in files.
        recordio_wrapper: Whether what is streamed was wrapped in RecordIO (RecordWrapperType).
        attribute_names: The manifest's attributes in the order of the stream's records, or none.
    """

    name: str
    folder: Path
    content_type: str | None
    pipe: bool
    recordio_wrapper: bool
    attribute_names: tuple[str, ...] = ()
