"""Ask a model over V2 REST with Triton's own client.

python examples/ask_v2_rest.py localhost:8080 MODEL PICTURE
"""

import sys
from pathlib import Path

import numpy as np
import tritonclient.http as triton

if len(sys.argv) != 4:
    sys.exit(__doc__)
address, model, picture = sys.argv[1:]
client = triton.InferenceServerClient(address)
image = triton.InferInput("image", [1], "BYTES")
image.set_data_from_numpy(np.array([Path(picture).read_bytes()], dtype=np.object_))
scores = triton.InferRequestedOutput("scores", class_count=1000)
result = client.infer(model, [image], outputs=[scores])
for entry in result.as_numpy("scores")[0]:
    score, _index, label = entry.decode().split(":", 2)
    print(f"{score}  {label}")
