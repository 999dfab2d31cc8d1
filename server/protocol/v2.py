"""What V2 says over REST and gRPC alike: server and model metadata."""

from importlib.metadata import version
from typing import Final

from contract.model_config import PLATFORM, Json
from server.model import ServedModel, tensor_metadata

SERVER_NAME: Final = "aperture"
EXTENSIONS: Final = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository(index)",
)


def server_metadata() -> dict[str, Json]:
    """The server's name, version and extensions."""
    return {
        "name": SERVER_NAME,
        "version": version("aperture-vision"),
        "extensions": list(EXTENSIONS),
    }


def model_metadata(model: ServedModel, number: str) -> dict[str, Json]:
    """A model's name, versions, platform, inputs and outputs.

    Raises:
        ModelNotFound: It has no such version.
        NotReady: It has no version that can answer.
    """
    config = model.version(number).config
    return {
        "name": model.name,
        "versions": [str(known) for known in sorted(model.versions)],
        "platform": PLATFORM,
        "inputs": tensor_metadata(config.inputs),
        "outputs": tensor_metadata(config.outputs),
    }
