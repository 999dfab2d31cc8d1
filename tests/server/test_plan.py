import random

from server.plan import Actions, plan, settled


def test_new_and_changed_are_loaded_and_what_is_gone_is_unloaded() -> None:
    present = {"a": 1, "b": 1, "c": 1}
    wanted = {"b": 1, "c": 2, "d": 1}
    assert plan(present, wanted) == Actions(load=("c", "d"), unload=("a",))


def test_a_plan_carried_out_leaves_nothing_to_do() -> None:
    rng = random.Random(0)  # noqa: S311
    for _ in range(500):
        present, wanted = (
            {key: rng.randrange(3) for key in range(6) if rng.random() < 0.5} for _ in range(2)
        )
        actions = plan(present, wanted)
        done = {key: stamp for key, stamp in present.items() if key not in actions.unload}
        done |= {key: wanted[key] for key in actions.load}
        assert done == wanted
        assert not {*actions.load} & {*actions.unload}
        assert all(present.get(key) != wanted[key] for key in actions.load)
        assert plan(wanted, wanted) == Actions((), ())


def test_what_moves_is_left_alone_until_it_stands_still() -> None:
    assert settled({}, {}, {"new": 1}) == {}
    assert settled({}, {"new": 1}, {"new": 2}) == {}
    assert settled({}, {"new": 2}, {"new": 2}) == {"new": 2}
    assert settled({"old": 1}, {"old": 1}, {"old": 2}) == {"old": 1}
    assert settled({"old": 1}, {"old": 2}, {"old": 2}) == {"old": 2}
    assert settled({"old": 1}, {"old": 1}, {}) == {}
