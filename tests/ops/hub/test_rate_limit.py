from __future__ import annotations

from typing import TYPE_CHECKING

import loopback
import pytest
from fakes.runner import FakeRunner
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import parse_ratelimit_headers

from ops.hub import LocalHub, Rules, User

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx2

PATH = "/api/spaces/hardware"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    """A Hub that answers three API requests of each user."""
    users = [User("me", {"hf_a": "write", "hf_b": "read"}), User("other", {"hf_c": "read"})]
    rules = Rules(requests=3)
    with LocalHub(tmp_path / "hub", FakeRunner(), users=users, rules=rules) as hub:
        yield hub


def ask(hub: LocalHub, token: str | None = None, path: str = PATH) -> httpx2.Response:
    """One request."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return loopback.get(hub.endpoint + path, headers=headers)


def test_a_caller_has_so_many_requests(hub: LocalHub) -> None:
    """All tokens of a user share one limit; others, and visitors, have their own."""
    assert [ask(hub, token).status_code for token in ("hf_a", "hf_b", "hf_a")] == [200] * 3
    assert ask(hub, "hf_b").status_code == 429
    assert ask(hub, "hf_c").status_code == 200
    assert ask(hub).status_code == 200


def test_the_client_can_tell_what_is_left(hub: LocalHub) -> None:
    """Its own parser reads the headers, and it names the limit when nothing is left."""
    found = [parse_ratelimit_headers(ask(hub, "hf_a").headers) for _ in range(3)]
    assert [info.remaining for info in found if info] == [2, 1, 0]
    assert all(info and 0 < info.reset_in_seconds <= 301 for info in found)
    assert found[0] is not None
    assert (found[0].limit, found[0].window_seconds) == (3, 300)
    with pytest.raises(HfHubHTTPError, match="reached your 'api' rate limit"):
        HfApi(endpoint=hub.endpoint, token="hf_a").list_spaces_hardware()


def test_only_the_api_is_limited(hub: LocalHub) -> None:
    """Downloads and orders for faults are neither counted nor refused."""
    for _ in range(4):
        assert ask(hub, "hf_a", "/me/model/resolve/main/a").status_code == 404
        assert ask(hub, "hf_a", "/_local/faults").status_code == 200
    assert ask(hub, "hf_a").headers["RateLimit"].startswith('"api";r=2')


def test_there_is_no_limit_unless_it_is_asked_for(tmp_path: Path) -> None:
    """Nor any header of one."""
    with LocalHub(tmp_path / "free", FakeRunner()) as hub:
        assert "RateLimit" not in ask(hub).headers


def test_a_window_ends(tmp_path: Path) -> None:
    """After it, there are as many requests again."""
    rules = Rules(requests=1, window=0)
    with LocalHub(tmp_path / "short", FakeRunner(), rules=rules) as hub:
        assert [ask(hub).status_code for _ in range(3)] == [200] * 3
