from __future__ import annotations

import pytest

from ops.hub.faults import Fault, Faults


def taken(faults: Faults, number: int, path: str = "/a") -> list[bool]:
    """Whether each of so many requests in turn meets one."""
    return [faults.take("status", method="GET", path=path) is not None for _ in range(number)]


@pytest.mark.parametrize(
    ("skip", "times", "met"),
    [
        (0, 1, [True, False, False, False]),
        (2, 1, [False, False, True, False]),
        (1, 2, [False, True, True, False]),
        (1, None, [False, True, True, True]),
    ],
)
def test_a_fault_comes_after_some_and_so_many_times(
    skip: int, times: int | None, met: list[bool]
) -> None:
    """`skip` that match go well, `times` do not, then all is well again."""
    faults = Faults((Fault("status", skip=skip, times=times),))
    assert taken(faults, 4) == met
    assert [p.taken for p in faults.pending] == ([3] if times is None else [])


def test_only_what_matches_is_counted() -> None:
    """Another method, path, action or origin neither meets a fault nor brings it nearer."""
    faults = Faults((Fault("status", method="POST", path="/api/*/commit/main", skip=1),))
    commit = "/api/spaces/me/app/commit/main"
    for others in (
        {"method": "GET", "path": commit},
        {"method": "POST", "path": "/api/spaces/me/app"},
        {"method": "POST", "path": commit, "origin": "space"},
    ):
        assert faults.take("status", **others) is None  # type: ignore[arg-type]
    assert faults.take("cut", method="POST", path=commit) is None
    assert faults.take("status", method="POST", path=commit) is None
    assert faults.take("status", method="POST", path=commit) is not None


@pytest.mark.parametrize(
    ("repo_id", "path", "met"),
    [
        ("me/app", "", True),
        ("me/apple", "", False),
        ("", "/api/spaces/me/app", True),
        ("", "/spaces/me/app.git/info/refs", True),
        ("", "/api/spaces/me/apple", False),
        ("", "/api/spaces/some/app", False),
    ],
)
def test_a_fault_is_of_one_repository(repo_id: str, path: str, *, met: bool) -> None:
    """By a Space's name, or by a request's path with whole names in it."""
    faults = Faults((Fault("delay", repo_id="me/app"),))
    assert (faults.take("delay", repo_id=repo_id, path=path) is not None) is met


def test_of_several_the_first_is_met_and_all_count() -> None:
    """Faults on the same requests are met one after the other, none before its own number."""
    faults = Faults(
        (
            Fault("status", status=500),
            Fault("status", status=502),
            Fault("status", status=503, skip=2),
        )
    )
    met = [faults.take("status") for _ in range(4)]
    assert [fault.status if fault else None for fault in met] == [500, 502, 503, None]


def test_a_fault_can_be_called_off() -> None:
    """By its number, once; or all."""
    faults = Faults()
    first, second = faults.add(Fault("status")), faults.add(Fault("cut"))
    assert faults.remove(first)
    assert not faults.remove(first)
    assert [p.number for p in faults.pending] == [second]
    faults.clear()
    assert faults.pending == ()


def test_requests_are_remembered_from_a_mark_on() -> None:
    """In their order."""
    faults = Faults()
    faults.note("GET", "/before")
    faults.mark()
    faults.note("POST", "/a")
    faults.note("GET", "/b")
    assert [(seen.method, seen.path) for seen in faults.seen] == [("POST", "/a"), ("GET", "/b")]
