"""A served model: one name, its versions, KServe's `Model` interface.

KServe knows a model by its name; which version answers is decided here.
"""

from collections.abc import Mapping, Sequence

import kserve

from contract.model_config import Json, TensorSpec
from server.decoder import Decoder
from server.errors import ModelNotFound, NotReady
from server.instances import parse_predict_request
from server.version import Version


class ServedModel(kserve.Model):
    """A model of the repository, ready once a version of it was added.

    Args:
        name: The name in URLs and requests.
        decoder: Decodes the pictures of its requests.
    """

    def __init__(self, name: str, decoder: Decoder) -> None:
        super().__init__(name)
        self.decoder = decoder
        self._versions: dict[int, Version] = {}
        self._reason = "loading"

    @property
    def versions(self) -> Mapping[int, Version]:
        """The loaded versions by number."""
        return self._versions

    @property
    def reason(self) -> str:
        """Why it is not ready; empty when it is."""
        return self._reason

    @property
    def serving(self) -> bool:
        """Whether every loaded version can answer, and there is one."""
        return bool(self._versions) and all(version.alive for version in self._versions.values())

    async def healthy(self) -> bool:
        """Whether it can answer; KServe asks this for its readiness routes."""
        return self.serving

    def add(self, version: Version) -> None:
        """Start a loaded version and let it answer."""
        version.start()
        self._versions[version.number] = version
        self._reason = ""
        self.ready = True

    def fail(self, reason: str) -> None:
        """Note why the model cannot be served."""
        self._reason = reason
        self.ready = False

    async def stop_versions(self) -> None:
        """Stop every version after the run that it is at."""
        self.ready = False
        self._reason = "unloaded"
        versions, self._versions = self._versions, {}
        for version in versions.values():
            await version.stop()

    def version(self, number: str = "") -> Version:
        """The version of that number, or the newest.

        Raises:
            ModelNotFound: No such version is served.
            NotReady: The model has no version that can answer.
        """
        if not self._versions:
            raise NotReady(self.name, self._reason)
        if not number:
            return self._versions[max(self._versions)]
        for known, version in self._versions.items():
            if str(known) == number:
                return version
        raise ModelNotFound(self.name, number[:40])

    async def predict(
        self,
        payload: object,
        headers: Mapping[str, str] | None = None,
        response_headers: Mapping[str, str] | None = None,
    ) -> dict[str, object]:
        """Answer a V1 request: {"instances": [{"data": base64}]} -> {"predictions": [...]}.

        Raises:
            RequestError: The payload is not of that form, or a picture of it cannot be used.
            NotReady: The model has no version that can answer.
            QueueFull: Too many pictures wait already.
        """
        version = self.version()
        request = parse_predict_request(payload, version.task.options)
        return {"predictions": await version.answer(self.decoder, request)}

    def get_input_types(self) -> list[dict[str, Json]]:
        """The inputs as V2 metadata."""
        return tensor_metadata(self.version().config.inputs)

    def get_output_types(self) -> list[dict[str, Json]]:
        """The outputs as V2 metadata."""
        return tensor_metadata(self.version().config.outputs)


def tensor_metadata(specs: Sequence[TensorSpec]) -> list[dict[str, Json]]:
    """V2 metadata of batched tensors: name, datatype, shape with -1 for the batch."""
    return [
        {"name": spec.name, "datatype": spec.datatype, "shape": [-1, *spec.dims]} for spec in specs
    ]
