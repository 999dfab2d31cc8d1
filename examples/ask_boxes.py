"""Ask an object detector over KServe V1, with Python alone.

python examples/ask_boxes.py http://localhost:8080 MODEL PICTURE
"""

import base64
import json
import sys
import urllib.request
from pathlib import Path

if len(sys.argv) != 4:
    sys.exit(__doc__)
url, model, picture = sys.argv[1:]
body = {
    "instances": [{"data": base64.b64encode(Path(picture).read_bytes()).decode()}],
    "parameters": {"scores": True},
}
request = urllib.request.Request(f"{url}/v1/models/{model}:predict", json.dumps(body).encode())
with urllib.request.urlopen(request) as response:
    for entry in json.load(response)["predictions"][0]:
        score = entry.pop("score")
        for label, box in entry.items():
            print(f"{score:f}  {label}  {box}")
