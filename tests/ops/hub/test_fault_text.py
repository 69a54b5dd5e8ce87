from __future__ import annotations

import pytest

from ops.hub.fault_text import FaultTextError, parse, render
from ops.hub.faults import REQUEST_ACTIONS, SPACE_ACTIONS, Fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "status 429 retry-after=2 times=3 POST /api/spaces/*/commit/*",
            Fault(
                "status",
                method="POST",
                path="/api/spaces/*/commit/*",
                status=429,
                retry_after=2,
                times=3,
            ),
        ),
        ("status 429 ratelimit=30", Fault("status", status=429, rate_limit=30)),
        ("cut when=after skip=4", Fault("cut", when="after", skip=4)),
        ("cut when=body bytes=10 /a=b/*", Fault("cut", when="body", after=10, path="/a=b/*")),
        ("hang when=after POST", Fault("hang", when="after", method="POST")),
        ("pause skip=3 me/app", Fault("pause", repo_id="me/app", skip=3)),
        ("delay seconds=0.5 times=always", Fault("delay", seconds=0.5, times=None)),
        ("delay me/app origin=space", Fault("delay", repo_id="me/app", origin="space")),
        ("  conflict  me/app ", Fault("conflict", repo_id="me/app")),
        ("revoke GET skip=2", Fault("revoke", method="GET", skip=2)),
        ("fail-build step=3 me/app", Fault("fail-build", repo_id="me/app", step=3)),
        ("slow-build seconds=20", Fault("slow-build", seconds=20)),
        ("hang-start", Fault("hang-start")),
        ("crash after=5", Fault("crash", after=5)),
    ],
)
def test_a_text_reads_as_its_fault_and_back(text: str, fault: Fault) -> None:
    """Whatever is shown of a fault orders the same one again."""
    assert parse(text) == fault
    assert parse(render(fault)) == fault


@pytest.mark.parametrize("action", [*REQUEST_ACTIONS, *SPACE_ACTIONS])
def test_every_action_has_its_words(action: str) -> None:
    """None can be ordered by a test but not from the command line."""
    text = f"{action} 500" if action == "status" else action
    assert render(parse(text)) == text


@pytest.mark.parametrize(
    ("text", "wrong", "known"),
    [
        ("", "''", "fail-build"),
        ("explode", "'explode'", "conflict"),
        ("status", "status", "status 503"),
        ("status 200", "'200'", "400 to 599"),
        ("status 500 503", "'503'", "retry-after="),
        ("status 500 step=1", "'step='", "ratelimit="),
        ("cut when=never", "'when=never'", "before, after, body"),
        ("cut bytes=-1", "'bytes=-1'", "whole number"),
        ("cut times=0", "'times=0'", "always"),
        ("cut skip=1 skip=2", "'skip=2'", "twice"),
        ("cut post", "'post'", "METHOD"),
        ("delay seconds=nan", "'seconds=nan'", "seconds"),
        ("fail-build /path", "'/path'", "owner/name"),
        ("fail-build POST", "'POST'", "step="),
        ("conflict origin=space", "'origin='", "skip="),
    ],
)
def test_the_wrong_word_is_named_with_what_is_known(text: str, wrong: str, known: str) -> None:
    """So that nobody has to look for the grammar."""
    with pytest.raises(FaultTextError) as caught:
        parse(text)
    assert wrong in str(caught.value)
    assert known in str(caught.value)
