"""Ask over EasyMaker's inference API, with Python alone.

python examples/ask_easymaker.py http://localhost:8080 PICTURE [MODEL]
"""

import base64
import json
import sys
import urllib.request
from pathlib import Path

if len(sys.argv) not in (3, 4):
    sys.exit(__doc__)
url, picture, *model = sys.argv[1:]
body = {"instances": [{"data": base64.b64encode(Path(picture).read_bytes()).decode()}]}
query = f"?model={model[0]}" if model else ""
request = urllib.request.Request(f"{url}/inference{query}", json.dumps(body).encode())
with urllib.request.urlopen(request) as response:
    answer = json.load(response)

for entry in answer if isinstance(answer, list) else answer["predictions"][0]:
    if isinstance(entry, list):  # semantic segmentation: a row of label ids
        print(*entry)
    elif "score" in entry:  # image classification
        print(f"{entry['score']:f}  {entry['label']}")
    else:  # object detection
        for label, box in entry.items():
            print(label, *box.values())
