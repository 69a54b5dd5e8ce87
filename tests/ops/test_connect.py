from __future__ import annotations

import ast
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest
import yaml
from fakes.asgi_server import serving
from fakes.embedding_server import APP_KEY, DIMENSIONS, PrivateProxy, Served, embedding_app
from fakes.runner import FakeRunner
from hub_world import SPACE, WRITE, hub_world
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from ops.adapters.hf_hub import Hub
from ops.cli.use import connect as command
from ops.clients import CLIENTS
from ops.config import Config, Visibility
from ops.connect import Target, Tokens, connect, of_space, of_url, tokens
from ops.errors import ConfigError, NotAllowed, Unhealthy
from ops.probe import Access

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hub_world import World

INFO = {
    "model": "m",
    "dimensions": 3,
    "query_instruction": "",
    "document_instruction": "",
    "max_length": 8,
    "limits": {"max_payload_mb": 1, "max_inputs": 1},
    "fingerprint": "0",
    "api_key_required": False,
}
GOLDEN = Path(__file__).parents[1] / "golden" / "connect"
SPACE_TARGET = Target(
    url="https://me-my-embeddings.hf.space",
    model="bge-base-en-v1.5-embed",
    dimensions=768,
    private=True,
    keyed=True,
    asked=True,
)
ARRANGEMENTS = {
    "private, with keys": SPACE_TARGET,
    "private, without keys": replace(SPACE_TARGET, keyed=False),
    "protected or public, with keys": replace(SPACE_TARGET, private=False),
    "protected or public, without keys": replace(SPACE_TARGET, private=False, keyed=False),
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A Hub whose Spaces are small embedding servers with a key."""
    with hub_world(tmp_path / "hub", FakeRunner(lambda _: embedding_app())) as world:
        yield world


def config(**sections: object) -> Config:
    """What space.toml says of the Space."""
    return Config.model_validate({"space": {"repo_id": SPACE}, **sections})


def shown(client: str) -> str:
    """Everything that is printed for a client, for each way in which a Space may be open."""
    parts = []
    for name, target in ARRANGEMENTS.items():
        connected = connect(CLIENTS[client], target)
        parts.append(f"##### {name}\n")
        parts += [f"## {file.name}\n{file.content}" for file in connected.files]
        parts.append("".join(f"• {note}\n" for note in connected.notes))
    return "\n".join(parts)


@pytest.mark.parametrize("client", CLIENTS)
def test_what_is_printed_is_the_golden_text(client: str, request: pytest.FixtureRequest) -> None:
    """What people paste is what was looked at and committed, letter by letter."""
    path = GOLDEN / f"{client}.txt"
    if request.config.getoption("--update-golden", default=False):
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown(client), encoding="utf-8")
    assert shown(client) == path.read_text(encoding="utf-8"), (
        "Meant? pytest tests/ops/test_connect.py --update-golden, and look at the diff."
    )


def test_the_command_knows_every_client() -> None:
    """Its choices are the clients that there are, in their order, and its help names each."""
    (choice,) = [p.type for p in command.params if p.name == "name"]
    assert list(choice.choices) == list(CLIENTS)
    assert all(name in str(command.help) for name in CLIENTS)


@pytest.mark.parametrize("target", ARRANGEMENTS.values(), ids=ARRANGEMENTS)
@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
def test_a_snippet_names_the_tokens_that_it_sends(client: str, target: Target) -> None:
    """Each token that opens the Space is in the snippet, and none that does not."""
    connected = connect(client, target)
    text = "".join(file.content for file in connected.files)
    chosen = tokens(client, target)
    sent = {chosen.bearer, "HF_TOKEN" if chosen.second else None} - {None}
    assert {name for name in ("HF_TOKEN", "EMBED_API_KEY") if name in text} == sent
    assert ("X-HF-Authorization" in text) is chosen.second
    assert all(any(name in note for note in connected.notes) for name in sent)


@pytest.mark.parametrize("target", ARRANGEMENTS.values(), ids=ARRANGEMENTS)
def test_snippets_are_of_their_language(target: Target) -> None:
    """Python compiles, YAML loads, shell parses, .env is a name and a value a line."""
    for client in CLIENTS.values():
        for file in connect(client, target).files:
            match Path(file.name).suffix or file.name:
                case ".py":
                    ast.parse(file.content)
                case ".yaml":
                    assert yaml.safe_load(file.content).keys() == {"embedder", "vector_store"}
                case ".sh":
                    subprocess.run(["sh", "-n"], input=file.content.encode(), check=True)
                case ".env":
                    assert all("=" in line for line in file.content.splitlines())


def test_mem0s_files_agree_on_the_dimensions() -> None:
    """Mem0's embedder and Qdrant's collection are told the same, in both of its ways."""
    files = {file.name: file.content for file in connect(CLIENTS["mem0"], SPACE_TARGET).files}
    told = yaml.safe_load(files["config.yaml"])
    assert told["embedder"]["config"]["embedding_dims"] == 768
    assert told["vector_store"]["config"]["embedding_model_dims"] == 768
    assert files["memory.py"].count("_dims") == files["memory.py"].count('_dims": 768') == 2


def test_a_client_with_one_header_says_what_to_change() -> None:
    """Where a Space wants two tokens, a client that sends one is told so, first of all."""
    assert tokens(CLIENTS["openwebui"], SPACE_TARGET) == Tokens("HF_TOKEN", lacking=True)
    first, *_ = connect(CLIENTS["openwebui"], SPACE_TARGET).notes
    assert "would be refused" in first
    assert 'visibility = "protected"' in first


def test_headers_hold_the_values() -> None:
    """What is sent by --check is what the snippet would send, each token in its header."""
    access = Access("hub-token", "app-key")
    assert Tokens("EMBED_API_KEY", second=True).headers(access) == {
        "Authorization": "Bearer app-key",
        "X-HF-Authorization": "Bearer hub-token",
    }
    assert Tokens("HF_TOKEN").headers(access) == {"Authorization": "Bearer hub-token"}
    assert Tokens(None).headers(access) == {}


@pytest.mark.parametrize("bearer", ["HF_TOKEN", "EMBED_API_KEY"])
def test_a_missing_value_is_named(bearer: str) -> None:
    """Trying a client without a token that it needs says which."""
    with pytest.raises(NotAllowed, match=f"needs {bearer}, and it is not set"):
        Tokens(bearer).headers(Access())


@pytest.mark.parametrize("visibility", get_args(Visibility))
def test_of_a_space_that_runs(world: World, visibility: str) -> None:
    """Its URL is the Hub's, the rest its own answer; only a private one needs the Hub's token."""
    world.create()
    world.push({})
    world.wait_for_stage("RUNNING")
    hub = Hub(world.hub.endpoint, WRITE)
    hub.set_visibility(SPACE, visibility)
    found = of_space(hub, config(), Access(WRITE, APP_KEY))
    private = visibility == "private"
    assert found == Target(
        world.url(), "counted-words-embed", DIMENSIONS, private, keyed=True, asked=True
    )


def test_of_a_space_that_does_not_run(world: World) -> None:
    """Its URL is known all the same; model and keys are space.toml's, dimensions are assumed."""
    world.create()
    world.wait_for_stage("NO_APP_FILE")
    hub, access = Hub(world.hub.endpoint, WRITE), Access(WRITE)
    keys = {"EMBED_API_KEYS": {"env": "KEYS"}}
    found = of_space(hub, config(secrets=keys), access)
    assert found == Target(
        world.url(), "bge-base-en-v1.5-embed", 768, private=True, keyed=True, asked=False
    )
    assert any("768 dimensions are assumed" in note for note in notes(found))
    other = of_space(hub, config(model={"id": "me/other"}), access)
    assert (other.dimensions, other.keyed) == (None, False)
    assert any("DIMENSIONS is not known" in note for note in notes(other))


def notes(target: Target) -> tuple[str, ...]:
    """What is said beside a snippet."""
    return connect(CLIENTS["mem0"], target).notes


def test_of_no_space(world: World) -> None:
    """What is not there is said so, with the command that makes it."""
    with pytest.raises(ConfigError, match=f"no Space {SPACE}") as caught:
        of_space(Hub(world.hub.endpoint, WRITE), config(), Access(WRITE))
    assert "ops deploy" in str(caught.value.next_step)


def test_of_a_url(server: Served) -> None:
    """A server by its URL is asked what it is; a slash at the end is none of it."""
    server.switches.keys_required = False
    assert of_url(f"{server.url}/", Access("not-needed")) == Target(
        server.url, "counted-words-embed", DIMENSIONS, private=False, keyed=False, asked=True
    )


def test_of_a_private_url() -> None:
    """A proxy that hides the server from strangers makes it private; without a token it is shut."""
    with serving(PrivateProxy(embedding_app(), "hub-token", "X-HF-Authorization")) as url:
        assert of_url(url, Access("hub-token", APP_KEY)).private
        with pytest.raises(NotAllowed, match="status 404") as caught:
            of_url(url, Access())
        assert "No Hugging Face token was sent." in str(caught.value.cause)
        with pytest.raises(NotAllowed) as caught:
            of_url(url, Access("another"))
        assert "it may not be allowed to read this Space" in str(caught.value.cause)


def test_of_a_url_where_nothing_is() -> None:
    """A server that is not up is said so, not shown a snippet for."""
    with pytest.raises(Unhealthy, match="does not answer"):
        of_url("http://127.0.0.1:9", Access())


@pytest.mark.parametrize("url", ["http://127.0.0.1/$(id)", 'http://127.0.0.1/"', "http://a/b c"])
def test_no_url_that_means_something_else_where_it_is_pasted(url: str) -> None:
    """What a shell or Python would take apart does not get into a snippet."""
    with pytest.raises(ConfigError, match="characters"):
        of_url(url, Access())


def test_a_models_name_is_a_name_where_it_is_pasted() -> None:
    """A server of somebody else's cannot put code into a snippet by what it calls its model."""
    app = Starlette(
        routes=[
            Route("/livez", lambda _: JSONResponse({})),
            Route("/info", lambda _: JSONResponse(INFO | {"model": 'me/x"\nimport os; $(id)'})),
        ]
    )
    with serving(app) as url:
        assert of_url(url, Access()).model == "x--import-os----id--embed"


def test_data_is_json() -> None:
    """Files and notes are there for machines, and no token is: there is none to know."""
    data = json.loads(json.dumps(connect(CLIENTS["mem0"], SPACE_TARGET).data()))
    assert [file["name"] for file in data["files"]] == [".env", "config.yaml", "memory.py"]
    assert data["client"] == "mem0"
    assert data["notes"]
