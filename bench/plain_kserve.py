"""The peer: a custom KServe predictor as its documentation shows one, around the same ONNX file.

    python -m bench.plain_kserve MODEL.ONNX HTTP_PORT

It decodes base64, resizes with Pillow and runs onnxruntime's CPU provider, a request at a time.
"""

import base64
import io
import sys
from typing import Any

path, port = sys.argv[1:]
sys.argv[1:] = []  # KServe parses argv when it is imported

import kserve  # noqa: E402
import numpy as np  # noqa: E402
import onnxruntime as ort  # noqa: E402
from PIL import Image  # noqa: E402


class Classifier(kserve.Model):
    """A plain predictor."""

    def load(self) -> bool:
        """Open the session."""
        self.session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.size = self.session.get_inputs()[0].shape[1:3][::-1]
        self.ready = True
        return self.ready

    def predict(self, payload: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
        """Answer a V1 request."""
        files = [base64.b64decode(instance["data"]) for instance in payload["instances"]]
        images = [Image.open(io.BytesIO(f)).convert("RGB").resize(self.size) for f in files]
        batch = np.stack([np.asarray(image) for image in images])
        (scores,) = self.session.run(None, {"image": batch})
        return {"predictions": scores.tolist()}


if __name__ == "__main__":
    model = Classifier("model")
    model.load()
    kserve.ModelServer(http_port=int(port), enable_grpc=False).start([model])
