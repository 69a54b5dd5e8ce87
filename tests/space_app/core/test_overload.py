"""Ten times the work that can be done, on a clock of its own: `benchmarks/overload.py`."""

from __future__ import annotations

import statistics

import pytest

from benchmarks.overload import Client, Seen, Simulation, crowds
from space_app.core.promise import Asked, Promise
from space_app.core.waiting import Kind

MAX_WAIT = 6
SECONDS = 60


def overloaded(name: str) -> dict[str, Seen]:
    """What the clients of a crowd see that wants ten times what can be done."""
    simulation = Simulation(crowds(MAX_WAIT, 10)[name], max_wait=MAX_WAIT)
    simulation.run(SECONDS)
    return simulation.seen


@pytest.mark.parametrize(
    "name", ["one key with eight-text requests", "one key with bulk", "no keys"]
)
def test_an_admitted_request_is_answered_in_time(name: str) -> None:
    """Of all that are let in 95 of 100 have their answer within the promise."""
    for seen in overloaded(name).values():
        assert len(seen.times) >= 10
        assert seen.late <= 0.05 * len(seen.times)


def test_who_comes_back_when_told_is_let_in() -> None:
    """Retry-After holds for nine of ten, although nine of ten requests are refused at first."""
    seen = overloaded("one key with eight-text requests")["eight texts"]

    assert seen.refused > 1000
    assert seen.taken >= 0.9 * seen.returned > 100


@pytest.mark.parametrize("name", ["one key with eight-text requests", "one key with bulk"])
def test_another_key_is_not_kept_waiting(name: str) -> None:
    """Single queries of a key that asks little are not refused, and done in a few steps."""
    seen = overloaded(name)["single queries of another key"]

    assert seen.refused == 0
    assert len(seen.times) > 100
    assert max(seen.times) < 0.5


@pytest.mark.parametrize("texts", [8, 64], ids=["interactive", "bulk"])
def test_keys_that_want_all_get_equal_parts(texts: int) -> None:
    """Three times as many clients do not get a key more than its half."""
    clients = [
        Client(key, key, texts, (40, 60))
        for key, share in (("many", 3), ("few", 1))
        for _ in range(share * 6000 * MAX_WAIT // (texts * 50))
    ]
    simulation = Simulation(clients, max_wait=MAX_WAIT)
    simulation.run(SECONDS)
    many, few = (len(simulation.seen[key].times) for key in ("many", "few"))

    assert 0.8 < many / few < 1.25


def test_the_engine_is_never_idle_for_who_was_sent_away() -> None:
    """Room is kept for those who come back, but what is done is what can be done."""
    simulation = Simulation(crowds(MAX_WAIT, 10)["no keys"], max_wait=MAX_WAIT)
    simulation.run(SECONDS)

    assert simulation.busy > 0.95 * (SECONDS - 1)


def test_a_large_request_is_not_refused_for_ever() -> None:
    """Smaller ones of other keys that keep coming make room for it."""
    clients = [Client("small", "small", 64, (40, 60))] * 60 + [
        Client("large", "large", 300, (40, 60), 1.0)
    ]
    simulation = Simulation(clients, max_wait=MAX_WAIT)
    simulation.run(SECONDS)
    seen = simulation.seen["large"]

    assert len(seen.times) >= 3
    assert statistics.median(seen.times) <= MAX_WAIT


def test_who_comes_back_early_keeps_the_place() -> None:
    """A client that ignores Retry-After neither loses nor gains by it, nor does anybody else."""
    promise = Promise(10)
    pace = 0.001
    promise.change(10.0, 9000)
    asked = Asked("a", Kind.BULK, 1000, mark=1)
    other = Asked("a", Kind.BULK, 1000, mark=2)
    first = promise.refuse(asked, {}, 0.0, pace)
    behind = promise.refuse(other, {}, 0.0, pace)
    again = promise.refuse(asked, {}, 0.5, pace)

    assert first is not None
    assert again == first - 0.5
    assert behind is not None
    assert promise.refuse(other, {}, 0.5, pace) == behind - 0.5
