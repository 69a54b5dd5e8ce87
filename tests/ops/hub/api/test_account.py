from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import loopback
import pytest
from fakes.runner import FakeRunner
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from ops.hub import Grant, LocalHub, Organisation, Scope, User

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx2

EXPIRES = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
FINE = Grant(
    "fineGrained",
    (
        Scope("model", "me/one", ("repo.write", "repo.content.read")),
        Scope("org", "acme", ("repo.content.read",)),
    ),
    name="for CI",
    expires=EXPIRES,
)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    """Two people who share an organisation, and models of each owner."""
    users = [
        User(
            "me",
            {"hf_write": "write", "hf_read": "read", "hf_fine": FINE},
            organisations={"acme": "admin", "club": "read"},
        ),
        User("you", {"hf_you": "write"}, pro=False, organisations={"acme": "read"}),
        User("other", {"hf_other": "write"}),
    ]
    folder = tmp_path_factory.mktemp("hub")
    organisations = [Organisation("acme", "enterprise")]
    with LocalHub(folder, FakeRunner(), users=users, organisations=organisations) as hub:
        for repo_id in ("me/one", "me/two", "acme/model"):
            client(hub, "hf_write").create_repo(repo_id, private=True)
        client(hub, "hf_write").create_repo("me/open")
        yield hub


def client(hub: LocalHub, token: str | None) -> HfApi:
    """The real client with a token."""
    return HfApi(endpoint=hub.endpoint, token=token or False)


def outcome(ask: Callable[[], Any]) -> int:
    """The status with which the Hub refuses, 200 when it does not."""
    try:
        ask()
    except HfHubHTTPError as error:
        return error.response.status_code
    return 200


def write(api: HfApi, repo_id: str) -> Callable[[], Any]:
    """A commit, not made yet."""
    operations = [CommitOperationAdd("a.txt", repo_id.encode())]
    return lambda: api.create_commit(repo_id, operations, commit_message="a")


def test_whoami_tells_plans_roles_and_organisations(hub: LocalHub) -> None:
    """What a preflight asks: who pays, who may write, where."""
    me, you = (client(hub, token).whoami() for token in ("hf_write", "hf_you"))
    assert (me["name"], me["isPro"], me["auth"]["accessToken"]["role"]) == ("me", True, "write")
    assert (you["name"], you["isPro"], you["canPay"]) == ("you", False, False)
    assert [(o["name"], o.get("plan"), o["roleInOrg"]) for o in me["orgs"]] == [
        ("acme", "enterprise", "admin"),
        ("club", None, "read"),
    ]
    assert me["orgs"][0]["id"] == you["orgs"][0]["id"] != me["orgs"][1]["id"]


def test_whoami_shows_a_fine_grained_tokens_scopes(hub: LocalHub) -> None:
    """And until when it is good."""
    auth = client(hub, "hf_fine").whoami()["auth"]
    token = auth["accessToken"]
    assert (token["role"], token["displayName"]) == ("fineGrained", "for CI")
    assert [
        (s["entity"]["type"], s["entity"]["name"], s["permissions"])
        for s in token["fineGrained"]["scoped"]
    ] == [
        ("model", "me/one", ["repo.write", "repo.content.read"]),
        ("org", "acme", ["repo.content.read"]),
    ]
    assert auth["expiresAt"] == "2030-01-02T03:04:05.000Z"
    assert "fineGrained" not in client(hub, "hf_read").whoami()["auth"]["accessToken"]


@pytest.mark.parametrize(
    ("token", "repo_id", "read", "written"),
    [
        ("hf_fine", "me/one", 200, 200),
        ("hf_fine", "me/two", 404, 404),
        ("hf_fine", "me/open", 200, 403),
        ("hf_fine", "acme/model", 200, 403),
        ("hf_you", "acme/model", 200, 403),
        ("hf_you", "me/one", 404, 404),
        ("hf_read", "me/one", 200, 403),
        (None, "me/open", 200, 401),
        (None, "me/one", 404, 404),
    ],
)
def test_what_one_may_not_see_does_not_exist(
    hub: LocalHub, token: str | None, repo_id: str, read: int, written: int
) -> None:
    """404 for what is private, 403 (401 without a token) for what may be seen but not changed."""
    api = client(hub, token)
    assert outcome(lambda: api.repo_info(repo_id)) == read
    assert outcome(write(api, repo_id)) == written
    if read == 404:
        with pytest.raises(RepositoryNotFoundError):
            api.repo_info(repo_id)


def test_a_scope_for_one_repository_creates_no_other(hub: LocalHub) -> None:
    """Nor deletes any but its own."""
    api = client(hub, "hf_fine")
    assert outcome(lambda: api.create_repo("me/new")) == 403
    assert outcome(lambda: api.delete_repo("me/open")) == 403
    assert client(hub, "hf_write").repo_exists("me/open")


def ask(hub: LocalHub, query: str = "", **headers: str) -> httpx2.Response:
    """One of my private models."""
    return loopback.get(f"{hub.endpoint}/api/models/me/one{query}", headers=headers)


def basic(text: str) -> str:
    """The header that git sends."""
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_gits_password_is_a_token(hub: LocalHub) -> None:
    """By whatever user name; a wrong one is asked for again, as git's helpers need it."""
    assert ask(hub, Authorization=basic("anybody:hf_read")).status_code == 200
    refused = ask(hub, Authorization=basic("me:wrong"))
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith('Basic realm="')


def test_a_token_in_a_url_is_none(hub: LocalHub) -> None:
    """It would lie in logs and histories; neither name nor query is looked at."""
    for name in ("token", "access_token", "private_token", "Authorization"):
        assert ask(hub, f"?{name}=hf_write").status_code == 404


def test_a_token_can_end_while_the_hub_serves(hub: LocalHub) -> None:
    """Revoked, it is refused at the next request."""
    hub.accounts.grant("me", "hf_leaver", Grant("write"))
    api = client(hub, "hf_leaver")
    assert outcome(lambda: api.repo_info("me/one")) == 200
    hub.accounts.revoke("hf_leaver")
    assert outcome(lambda: api.repo_info("me/one")) == 401
