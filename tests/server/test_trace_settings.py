import pytest

from server.errors import RequestError, Unsupported
from server.trace_settings import Setting, TraceSettings

TIMESTAMPS = {"trace_level": ["TIMESTAMPS"]}


def sampled(settings: TraceSettings, model: str, requests: int) -> list[int]:
    return [number for number in range(1, requests + 1) if settings.sample(model)]


def test_nothing_is_traced_until_a_level_is_set() -> None:
    assert sampled(TraceSettings(), "m", 5000) == []
    assert TraceSettings().of("m") == Setting()


def test_one_of_every_rate_requests_is_traced() -> None:
    settings = TraceSettings()
    settings.update({**TIMESTAMPS, "trace_rate": ["3"]})
    assert sampled(settings, "m", 10) == [3, 6, 9]


def test_the_count_ends_the_tracing_until_it_is_set_again() -> None:
    settings = TraceSettings()
    settings.update({**TIMESTAMPS, "trace_rate": ["1"], "trace_count": ["2"]})
    assert sampled(settings, "m", 5) == [1, 2]
    settings.update({"trace_count": ["1"]})
    assert sampled(settings, "m", 5) == [1]


def test_a_models_own_setting_touches_no_other_model() -> None:
    settings = TraceSettings()
    settings.update({**TIMESTAMPS, "trace_rate": ["2"]}, "m")
    assert sampled(settings, "other", 4) == []
    assert sampled(settings, "m", 4) == [2, 4]
    assert settings.of("m").level == ("TIMESTAMPS",)
    assert settings.of() == settings.of("other") == Setting()


def test_null_takes_a_setting_back_to_the_servers_and_to_the_start() -> None:
    settings = TraceSettings(Setting(rate=5))
    settings.update({"trace_rate": ["9"]})
    settings.update({"trace_rate": ["2"]}, "m")
    assert (settings.of("m").rate, settings.of().rate) == (2, 9)
    settings.update({"trace_rate": None}, "m")
    assert settings.of("m").rate == 9
    settings.update({"trace_rate": []})
    assert settings.of("m").rate == 5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trace_rate": ["0"]}, "value is out of range"),
        ({"trace_rate": ["1_000"]}, "Unable to parse 'trace_rate', got: 1_000"),
        ({"trace_rate": ["٣"]}, "Unable to parse 'trace_rate', got: ٣"),
        ({"trace_count": ["9" * 5000]}, "Unable to parse 'trace_count', got: 9999"),
        ({"trace_rate": ["99999999999"]}, "value is out of range"),
        ({"trace_count": ["-2"]}, "value is out of range"),
        ({"trace_count": ["1", "2"]}, "Unable to parse 'trace_count', got: 1,2"),
        ({"trace_level": ["MAX"]}, "trace_level is 'MAX'"),
        ({"trace_what": ["1"]}, "'trace_what' is unknown"),
        ({"trace_what": None}, "'trace_what' is unknown"),
    ],
)
def test_a_refused_update_changes_nothing(
    values: dict[str, list[str] | None], message: str
) -> None:
    settings = TraceSettings()
    for model in ("", "m"):
        with pytest.raises(RequestError, match=message):
            settings.update({**TIMESTAMPS, **values}, model)
        assert settings.of(model) == Setting()


def test_a_client_chooses_no_file() -> None:
    with pytest.raises(Unsupported, match="trace file location"):
        TraceSettings().update({"trace_file": ["x"]})
