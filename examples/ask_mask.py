"""Ask a segmenter over KServe V1 for the mask of a picture as a PNG, with Python alone.

python examples/ask_mask.py http://localhost:8080 MODEL PICTURE MASK.png
"""

import base64
import json
import sys
import urllib.request
from pathlib import Path

if len(sys.argv) != 5:
    sys.exit(__doc__)
url, model, picture, mask = sys.argv[1:]
body = {
    "instances": [{"data": base64.b64encode(Path(picture).read_bytes()).decode()}],
    "parameters": {"size": "original"},
}
request = urllib.request.Request(
    f"{url}/v1/models/{model}:predict",
    json.dumps(body).encode(),
    {"Accept": "image/png"},
)
with urllib.request.urlopen(request) as response:
    print(f"{Path(mask).write_bytes(response.read())} bytes written to {mask}")
