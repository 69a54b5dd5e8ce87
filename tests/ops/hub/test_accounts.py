from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest

from ops.hub.accounts import (
    READ_PERMISSION,
    WRITE_PERMISSION,
    Accounts,
    Caller,
    Grant,
    Organisation,
    OrgRole,
    Role,
    Scope,
    User,
    credentials,
)


def caller(grant: Grant, **roles: OrgRole) -> Caller:
    """Me, with a token and roles in organisations."""
    found = Accounts([User("me", {"hf_x": grant}, organisations=roles)]).caller("hf_x")
    assert found is not None
    return found


def scoped(entity: str, name: str, *permissions: str) -> Grant:
    """A fine-grained token with one scope."""
    return Grant("fineGrained", (Scope(entity, name, permissions),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("role", "reads", "writes"), [("read", True, False), ("write", True, True)]
)
def test_a_role_is_for_all_that_one_owns(role: Role, *, reads: bool, writes: bool) -> None:
    """A token to read changes nothing, one to write changes all; others' things neither."""
    me = caller(Grant(role))
    assert me.may_read("me", "spaces", "app") is reads
    assert me.may_write("me", "spaces", "app") is writes
    assert me.may_write("me") is writes
    assert not me.may_read("other", "spaces", "app")
    assert not me.may_write("other", "spaces", "app")


@pytest.mark.parametrize(
    ("role", "reads", "writes"),
    [
        ("admin", True, True),
        ("write", True, True),
        ("contributor", True, True),
        ("read", True, False),
        ("no_access", False, False),
    ],
)
def test_a_member_may_what_the_role_in_the_organisation_allows(
    role: OrgRole, *, reads: bool, writes: bool
) -> None:
    """The token alone does not make a reader a writer."""
    me = caller(Grant("write"), acme=role)
    assert me.may_read("acme", "models", "m") is reads
    assert me.may_write("acme", "models", "m") is writes


@pytest.mark.parametrize(
    ("grant", "app", "other", "everything"),
    [
        (Grant("fineGrained"), "", "", ""),
        (scoped("space", "me/app", READ_PERMISSION), "r", "", ""),
        (scoped("space", "me/app", WRITE_PERMISSION), "rw", "", ""),
        (scoped("model", "me/app", WRITE_PERMISSION), "", "", ""),
        (scoped("user", "me", READ_PERMISSION), "r", "r", ""),
        (scoped("user", "me", WRITE_PERMISSION), "rw", "rw", "w"),
        (scoped("user", "me", "discussion.write"), "", "", ""),
        (scoped("org", "acme", WRITE_PERMISSION), "", "", ""),
    ],
)
def test_a_fine_grained_token_may_what_its_scopes_say(
    grant: Grant, app: str, other: str, everything: str
) -> None:
    """One repository's scope is for this one alone, an owner's is for all and for new ones."""
    me = caller(grant, acme="admin")

    def rights(name: str) -> str:
        reads = me.may_read("me", "spaces", name)
        return "r" * reads + "w" * me.may_write("me", "spaces", name)

    assert (rights("app"), rights("other"), "w" * me.may_write("me")) == (app, other, everything)


def test_a_scope_gives_no_right_that_its_user_has_not() -> None:
    """A token for somebody else's repository opens nothing."""
    assert not caller(scoped("space", "other/app", WRITE_PERMISSION)).may_write(
        "other", "spaces", "app"
    )


def test_a_token_ends_when_it_is_revoked_or_over() -> None:
    """Neither is anybody's any more; another of the same user's stays."""
    now = datetime.now(UTC)
    accounts = Accounts([User("me", {"hf_a": "write"})])
    accounts.grant("me", "hf_past", Grant("write", expires=now - timedelta(seconds=1)))
    accounts.grant("me", "hf_later", Grant("write", expires=now + timedelta(hours=1)))
    assert accounts.caller("hf_past") is None
    assert accounts.caller("hf_later") is not None
    accounts.revoke("hf_later")
    assert accounts.caller("hf_later") is None
    assert accounts.caller("hf_a") is not None
    accounts.revoke("hf_never")


@pytest.mark.parametrize("token", [None, "", "hf_", "hf_a ", "hf_ä"])
def test_nothing_but_a_token_is_one(token: str | None) -> None:
    """No part of one, no empty one, no other characters."""
    assert Accounts([User("me", {"hf_a": "write"})]).caller(token) is None


def test_a_plan_is_of_whoever_owns_the_space() -> None:
    """A paying member does not make an organisation pay, nor the other way round."""
    users = [
        User("pro", {}, organisations={"poor": "admin"}),
        User("free", {}, pro=False, organisations={"rich": "admin"}),
    ]
    accounts = Accounts(users, [Organisation("rich", "team")])
    paying = {name: accounts.pays(name) for name in ("pro", "free", "rich", "poor", "nobody")}
    assert paying == {"pro": True, "free": False, "rich": True, "poor": False, "nobody": False}


def basic(text: bytes) -> str:
    """The header that git sends."""
    return "Basic " + base64.b64encode(text).decode()


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (None, None),
        ("", None),
        ("Bearer hf_a", "hf_a"),
        ("bearer  hf_a ", "hf_a"),
        ("Digest x", None),
        (basic(b"me:hf_a"), "hf_a"),
        (basic(b":hf_a"), "hf_a"),
        (basic(b"me:hf:a"), "hf:a"),
        (basic(b"hf_a"), ""),
        (basic(b"\xff\xfe"), ""),
        ("Basic !!!", ""),
        ("Basic", ""),
    ],
)
def test_a_token_comes_as_bearer_or_as_gits_password(header: str | None, token: str | None) -> None:
    """What cannot be read is a wrong token, not a visitor without one."""
    assert credentials(header) == token


def test_no_token_is_shown() -> None:
    """Neither a user nor the accounts print one."""
    user = User("me", {"hf_secret": "write"})
    accounts = Accounts([user])
    assert "hf_secret" not in f"{user!r}{accounts!r}{accounts.caller('hf_secret')!r}"
