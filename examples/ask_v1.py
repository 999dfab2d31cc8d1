"""Ask a model over KServe V1 with KServe's own client.

python examples/ask_v1.py http://localhost:8080 MODEL PICTURE
"""

import asyncio
import base64
import sys
from pathlib import Path

if len(sys.argv) != 4:
    sys.exit(__doc__)
url, model, picture = sys.argv[1:]
sys.argv[1:] = []  # KServe parses argv when it is imported

from kserve import InferenceRESTClient, RESTConfig  # noqa: E402


async def main() -> None:
    client = InferenceRESTClient(RESTConfig(protocol="v1"))
    body = {"instances": [{"data": base64.b64encode(Path(picture).read_bytes()).decode()}]}
    answer = await client.infer(url, body, model_name=model)
    for entry in answer["predictions"][0]:
        print(f"{entry['score']:f}  {entry['label']}")


asyncio.run(main())
