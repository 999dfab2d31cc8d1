"""Ask a classifier as SageMaker's clients do, with boto3: pip install boto3.

python examples/ask_sagemaker.py http://localhost:8080 MODEL PICTURE
"""

import json
import sys
from pathlib import Path

import boto3

if len(sys.argv) != 4:
    sys.exit(__doc__)
url, model, picture = sys.argv[1:]
client = boto3.client(
    "sagemaker-runtime",
    endpoint_url=url,
    region_name="us-east-1",
    aws_access_key_id="nobody",  # signatures are not checked
    aws_secret_access_key="nothing",  # noqa: S106
)
answer = client.invoke_endpoint(
    EndpointName="vision",
    TargetModel=model,
    ContentType="application/x-image",
    Body=Path(picture).read_bytes(),
)
for index, probability in enumerate(json.load(answer["Body"])):
    print(f"{probability:f}  {index}")
