from __future__ import annotations

import pytest

from ops.hub.accounts import Accounts, Organisation, User
from ops.hub.errors import HubError
from ops.hub.rules import Rules

ACCOUNTS = Accounts([User("free", {}, pro=False), User("pro", {})], [Organisation("rich", "team")])


@pytest.mark.parametrize(
    ("owner", "sdk", "hardware", "refused"),
    [
        ("free", "docker", "cpu-basic", True),
        ("free", "docker", "cpu-upgrade", False),
        ("free", "static", "cpu-basic", False),
        ("free", None, "cpu-basic", False),
        ("pro", "docker", "cpu-basic", False),
        ("rich", "docker", "cpu-basic", False),
    ],
)
def test_only_a_docker_space_on_cpu_basic_needs_a_plan(
    owner: str, sdk: str | None, hardware: str, *, refused: bool
) -> None:
    """402 for those without one; hardware that is paid by the hour needs none."""
    if refused:
        with pytest.raises(HubError) as caught:
            Rules().check_plan(ACCOUNTS, owner, sdk, hardware)
        assert caught.value.status == 402
    else:
        Rules().check_plan(ACCOUNTS, owner, sdk, hardware)
    Rules(paid_docker=False).check_plan(ACCOUNTS, owner, sdk, hardware)


def test_so_many_spaces_may_run() -> None:
    """One more than the limit is refused (403) with what to do; without one, none is."""
    rules = Rules(running_spaces=2)
    rules.check_running(1)
    with pytest.raises(HubError, match="pause your previous Spaces") as caught:
        rules.check_running(2)
    assert caught.value.status == 403
    Rules().check_running(1000)


def test_a_file_may_be_so_large() -> None:
    """A byte more is refused (413), naming the file."""
    rules = Rules(file_size=10)
    rules.check_size("a", 10)
    with pytest.raises(HubError, match=r"model\.bin") as caught:
        rules.check_size("model.bin", 11)
    assert caught.value.status == 413
    Rules().check_size("a", 10**15)
