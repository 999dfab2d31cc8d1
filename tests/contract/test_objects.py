"""Which objects of a bucket make which model."""

from hypothesis import given
from hypothesis import strategies as st

from contract.objects import Entry, group, safe_parts

ENTRY = Entry(1, "a")


def test_objects_make_models() -> None:
    listed = ["m/config.pbtxt", "m/warmup/input", "m/2/model.onnx", "m/2/a/b", "m/02/x", "n/1/x"]
    models = group(dict.fromkeys(listed, ENTRY))
    assert models.keys() == {"m", "n"}
    assert models["m"].shared.keys() == {"config.pbtxt", "warmup/input", "02/x"}
    assert models["m"].versions == {2: {"model.onnx": ENTRY, "a/b": ENTRY}}


def test_a_number_beyond_int64_is_no_version() -> None:
    largest = 2**63 - 1
    listed = [f"m/{number}/model.onnx" for number in (largest, largest + 1, 10**19)]
    assert list(group(dict.fromkeys(listed, ENTRY))["m"].versions) == [largest]


def test_a_version_is_whole_when_its_model_is_there() -> None:
    listed = ["m/1/model.onnx", "m/2/model.onnx/weights", "m/3/labels.txt", "m/4/model.onnx.part"]
    whole = group(dict.fromkeys(listed, ENTRY))["m"].whole
    assert list(whole("model.onnx")) == [1, 2]
    assert list(whole("labels.txt")) == [3]


def test_keys_that_are_no_paths_below_a_folder_do_not_count() -> None:
    listed = ["/m/x", "m//x", "../x", "m/../x", "m/./x", "m/1/../../x", "m/.x/y", "m\\..\\x/y", "m"]
    assert group(dict.fromkeys([*listed, "m/\0", "-m/1/model.onnx"], ENTRY)) == {}


@given(st.text(alphabet="./\\\0ab", max_size=12))
def test_a_safe_key_is_a_path_of_plain_names(key: str) -> None:
    parts = safe_parts(key)
    assert not parts or "/".join(parts) == key
    assert not {"", ".", "..", "\0", "\\"} & set(parts)
