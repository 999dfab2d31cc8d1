"""Bad requests get the right 4xx and {"error": ...}, and harm nobody else."""

import concurrent.futures
import json
import socket

import httpx
import pytest
from PIL import Image

from tests.live_server import LiveServer
from tests.picture_files import as_text, china_jpeg, encode, instances, noise_png

PREDICT = "/v1/models/colour:predict"
INFER = "/v2/models/colour/infer"


def tensor(**changes: object) -> dict[str, object]:
    entry: dict[str, object] = {"name": "image", "shape": [1], "datatype": "BYTES"}
    return entry | {"data": [as_text(noise_png(0))]} | changes


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "failed to parse the request JSON buffer"),
        ("", "failed to parse the request JSON buffer"),
        ("[]", "body is a list"),
        ("{}", 'body has no "instances"'),
        ('{"instances": {}}', '"instances" is an object; expected a list'),
        ('{"instances": []}', '"instances" is empty'),
        ('{"instances": [{}]}', "instance 0: got keys []"),
        ('{"instances": ["aGk="]}', "instance 0: got a string"),
        ('{"instances": [{"data": 3}]}', 'instance 0: "data" is a number'),
        ('{"instances": [{"data": "%%%"}]}', "instance 0: data is not base64"),
        ('{"instances": [{"data": "YWJj"}]}', "instance 0: 3 bytes of no known picture format"),
        ('{"instances": [{"data": ""}]}', "instance 0: zero bytes"),
        ("[" * 5000, "JSON nesting depth exceeds maximum allowed limit (100)"),
        ('{"instances": [{"data": "aGk="}], "parameters": 3}', '"parameters" is a number'),
        ('{"instances": [{"data": "aGk="}], "parameters": {"a": 1}}', "a: unknown option"),
    ],
)
@pytest.mark.parametrize("path", [PREDICT, "/inference"])
def test_v1_body(http: httpx.Client, path: str, body: str, message: str) -> None:
    response = http.post(path, content=body)
    assert response.status_code == 400
    assert message in response.json()["error"]


def test_the_bad_instance_among_good_ones_is_named_by_its_index(http: httpx.Client) -> None:
    truncated = china_jpeg()[:20000]
    response = http.post(
        PREDICT, json=instances(noise_png(0), noise_png(1), truncated, noise_png(2))
    )
    assert response.status_code == 400
    assert response.json()["error"].startswith("instance 2: broken JPEG picture: ")


def test_a_decompression_bomb_is_refused_before_it_is_decoded(http: httpx.Client) -> None:
    bomb = encode(Image.new("1", (30000, 30000)))
    assert len(bomb) < 200_000
    response = http.post(PREDICT, json=instances(noise_png(0), bomb))
    assert response.status_code == 413
    assert "instance 1: picture of 900000000 pixels" in response.json()["error"]
    assert "the limit is 1000000 pixels" in response.json()["error"]


def test_a_body_over_the_limit_is_413(http: httpx.Client) -> None:
    response = http.post(PREDICT, content=b" " * 1_000_001)
    assert response.status_code == 413
    assert "request body is over 1000000 bytes" in response.json()["error"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, 'list "inputs"'),
        ({"inputs": [1]}, "must be an object"),
        ({"inputs": []}, "missing required input(s) ['image']"),
        ({"inputs": [{"name": "image"}]}, 'needs "name", "datatype" and "shape"'),
        ({"inputs": [tensor(name="picture")]}, "unexpected inference input 'picture'"),
        ({"inputs": [tensor(datatype="FP32", shape=[1], data=[1.0])]}, "data-type is 'FP32'"),
        ({"inputs": [tensor(datatype="UINT8", shape=[1], data=[1])]}, "unexpected shape"),
        ({"inputs": [tensor(data=["%"])]}, "instance 0: data is not base64"),
        ({"inputs": [tensor(data=[None])]}, "element 0 of input 'image' must be a picture file"),
        ({"inputs": [tensor(shape=[2])]}, "expected 2 string elements for inference input 'image'"),
        ({"inputs": [tensor(shape=[0], data=[])]}, "N > 0"),
        ({"inputs": [tensor()], "outputs": [{"name": "x"}]}, "unexpected inference output 'x'"),
        ({"inputs": [tensor()], "outputs": {}}, "Unable to parse 'outputs'"),
        ({"inputs": [tensor(parameters=3)]}, '"parameters" must be an object'),
        (
            {"inputs": [tensor(parameters={"binary_data_size": 9})]},
            "But set 'data' 'binary_data_size'",
        ),
    ],
)
def test_v2_body(http: httpx.Client, body: object, message: str) -> None:
    response = http.post(INFER, json=body)
    assert response.status_code == 400
    assert message in response.json()["error"]


@pytest.mark.parametrize("length", ["-1", "x", "99999", "9" * 5000])
def test_v2_header_length_must_lie_in_the_body(http: httpx.Client, length: str) -> None:
    headers = {"Inference-Header-Content-Length": length}
    response = http.post(INFER, content=json.dumps({"inputs": [tensor()]}), headers=headers)
    assert response.status_code == 400
    assert "inference header size should be in range" in response.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/models/nope:predict", 404),
        ("GET", "/v1/models/nope", 404),
        ("POST", "/v2/models/nope/infer", 404),
        ("POST", "/v2/models/colour/versions/9/infer", 404),
        ("GET", "/v2/models/colour/versions/x", 400),
        ("GET", "/v2/models/nope/ready", 404),
        ("GET", "/v2/models/nope/config", 404),
        ("GET", "/nowhere", 404),
        ("GET", PREDICT, 405),
        ("GET", f"/v2/models/colour/versions/{'9' * 5000}", 400),
        ("PUT", "/v1/models", 405),
        ("DELETE", INFER, 405),
    ],
)
def test_unknown_paths_models_and_methods(
    http: httpx.Client, method: str, path: str, status: int
) -> None:
    response = http.request(method, path)
    assert response.status_code == status
    assert response.json()["error"]


def test_an_answer_in_a_form_that_the_task_lacks_is_406(http: httpx.Client) -> None:
    response = http.post(PREDICT, json=instances(noise_png(0)), headers={"Accept": "image/png"})
    assert response.status_code == 406
    assert "the answer can be application/json" in response.json()["error"]


def test_a_half_sent_request_harms_nobody(server: LiveServer, http: httpx.Client) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.http_port)) as client:
            client.sendall(b"POST /inference HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
    assert http.post(PREDICT, json=instances(noise_png(0))).status_code == 200


def test_good_requests_among_bad_ones_get_their_own_answers(http: httpx.Client) -> None:
    alone = [http.post(PREDICT, json=instances(noise_png(seed))).json() for seed in range(8)]

    def send(i: int) -> bool:
        if i % 3 == 0:
            return http.post(PREDICT, json=instances(b"rubbish")).status_code == 400
        response = http.post(PREDICT, json=instances(noise_png(i % 8)))
        return bool(response.json() == alone[i % 8])

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert all(pool.map(send, range(400)))
