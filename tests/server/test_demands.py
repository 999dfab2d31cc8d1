import pytest

from server.demands import Demand, parse_resource, place_demands
from tests.model_configs import config_of

SHARED = '{"name": "R", "count": 2}, {"name": "G", "global": true, "count": 1}'


def demands(groups: str, devices: tuple[int, ...], gpu_count: int) -> tuple[Demand, ...]:
    return place_demands(config_of(f'"instance_group": [{groups}]'), devices, gpu_count)


def test_a_resource_is_one_pool_a_device_or_one_for_the_system() -> None:
    group = f'{{"count": 2, "rate_limiter": {{"resources": [{SHARED}], "priority": 3}}}}'
    assert demands(group, (0, 0, 1, 1), 2) == (
        *(Demand({("R", 0): 2, ("G", None): 1}, 3),) * 2,
        *(Demand({("R", 1): 2, ("G", None): 1}, 3),) * 2,
    )


def test_each_group_has_its_own_and_without_one_an_instance_needs_nothing() -> None:
    groups = (
        '{"count": 2}, {"rate_limiter": {"resources": [{"name": "R", "count": 4}]}}, '
        '{"gpus": [1], "rate_limiter": {"resources": [{"name": "R", "count": 0}], "priority": 2}}'
    )
    four = Demand({("R", 0): 4})
    assert demands(groups, (0,) * 4, 0) == (Demand(), Demand(), four, Demand({}, 2))
    on_gpus = demands(groups, (0, 0, 1, 1, 0, 1, 1), 2)
    assert on_gpus[4:] == (four, Demand({("R", 1): 4}), Demand({}, 2))
    assert demands("", (0, 1), 2) == (Demand(), Demand())


@pytest.mark.parametrize(
    ("text", "parsed"),
    [("R1:10", (("R1", None), 10)), ("R2:5:0", (("R2", 0), 5)), ("r 3:0:12", (("r 3", 12), 0))],
)
def test_a_flag_names_a_resource(text: str, parsed: object) -> None:
    assert parse_resource(text) == parsed


@pytest.mark.parametrize("text", ["R", "R:", ":1", "R:x", "R:1:", "R:1:2:3", "R:-1", "R:٣", ""])
def test_what_names_no_resource_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected NAME:COUNT or NAME:COUNT:DEVICE"):
        parse_resource(text)
