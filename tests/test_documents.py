import pytest

from tests.documents import code_without_output, examples_of, prints

TEXT = """# Title

```sh
echo 1
```

```text
1
```

## Part

```python
print(2)
```

```json
2
```

```sh
false
```
"""


def test_examples_are_code_with_its_output() -> None:
    found = [(example.name, example.language, example.output) for example in examples_of(TEXT)]
    assert found == [("Title 1", "sh", "1\n"), ("Part 1", "python", "2\n")]
    assert code_without_output(TEXT) == ["false\n"]


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        ('{"a": 1, "b": 2}', '{"a": 1, "...": "..."}'),
        ("[1, 2, 3]", '[1, "..."]'),
        ('{"a": {"b": 1}}', '{"a": "..."}'),
        ("[0.50000001]", "[0.5]"),
        ("one 17\ntwo", "one ...\ntwo"),
    ],
)
def test_dots_and_rounding_are_forgiven(got: str, expected: str) -> None:
    assert prints(got, expected)


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        ('{"a": 1, "b": 2}', '{"a": 1}'),
        ('{"a": 1}', '{"a": 1, "b": "..."}'),
        ("[1, 2]", "[1]"),
        ("[1]", '["1"]'),
        ("[0.6]", "[0.5]"),
        ("one 17", "two ..."),
        ("one", "one\ntwo"),
    ],
)
def test_anything_else_is_not(got: str, expected: str) -> None:
    assert not prints(got, expected)
