from __future__ import annotations

import hashlib
import os
import socket
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx2
import loopback
import pytest
from fakes.runner import FakeRunner
from fakes.xet import Shard, packed
from hub_world import FREE, OTHER, READ, SPACE, WRITE, hub_world
from huggingface_hub import snapshot_download
from waiting import wait_until

from ops.hub import LocalHub, Rules, User

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hub_world import World

UPLOAD = """\
import sys
from huggingface_hub import HfApi
api = HfApi(endpoint=sys.argv[1])
api.create_repo(sys.argv[2], exist_ok=True)
api.upload_folder(repo_id=sys.argv[2], folder_path=sys.argv[3])
"""
XORB = packed(b"first\0" * 3000, b"second" * 2000, scheme=1)
SHARD = Shard(XORB, 0, 2)


def upload(endpoint: str, repo: str, folder: Path, home: Path) -> None:
    """The real client's upload, with hf_xet and what it remembers in `home`."""
    environment = {
        "PATH": os.environ["PATH"],
        "HF_HOME": str(home),
        "HF_TOKEN": WRITE,
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    command = [sys.executable, "-c", UPLOAD, endpoint, repo, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def downloaded(world: World, repo: str, folder: Path) -> dict[str, bytes]:
    """What the real client gets, by name."""
    snapshot_download(repo, local_dir=folder, endpoint=world.hub.endpoint, token=WRITE)
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix in (".bin", ".png")}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A Hub of each test's own: what was sent by Xet stays."""
    with hub_world(tmp_path / "hub", FakeRunner()) as world:
        yield world


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    """Files in `tmp_path / "folder"` that the client compresses in each of its ways."""
    folder = tmp_path / "folder"
    folder.mkdir()
    contents = {
        "random.bin": os.urandom(11 * 1024 * 1024),
        "floats.bin": struct.pack("<300000f", *(n / 7 for n in range(300_000))),
        "again.bin": b"the same again " * 200_000,
        "small.png": b"\x89PNG\0" * 10,
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return contents


def test_the_real_client_uploads_and_downloads(
    world: World, tmp_path: Path, files: dict[str, bytes]
) -> None:
    """By Xet, as it does by itself; a second time, what it remembers to have sent is there."""
    for repo in ("me/one", "me/two"):
        world.hub.faults.mark()
        upload(world.hub.endpoint, repo, tmp_path / "folder", tmp_path / "home")
        asked = [request.path for request in world.hub.faults.seen]
        assert any(path.endswith("/v1/shards") for path in asked)
        assert not any(path.endswith("/objects/batch") for path in asked)
        assert downloaded(world, repo, tmp_path / "got" / repo) == files


def test_another_data_folder_is_another_store(tmp_path: Path, files: dict[str, bytes]) -> None:
    """What the client remembers of a Hub that is gone does not spoil the one at its address."""
    port = 0
    for turn in ("one", "two"):
        users = [User("me", {WRITE: "write"})]
        with LocalHub(tmp_path / turn, FakeRunner(), port=port, users=users) as hub:
            port = int(hub.endpoint.rpartition(":")[2])
            upload(hub.endpoint, "me/model", tmp_path / "folder", tmp_path / "home")
            kept = {p.name for p in (tmp_path / turn / "models").rglob("lfs/*/*")}
            assert kept == {hashlib.sha256(content).hexdigest() for content in files.values()}


class Client:
    """Sends what it is told to, with a token for the Space."""

    def __init__(self, world: World, *, scope: str = "write", token: str = WRITE):
        self.reply = loopback.get(
            f"{world.hub.endpoint}/api/spaces/{SPACE}/xet-{scope}-token/main",
            headers={"Authorization": f"Bearer {token}"},
        )
        self.url = self.reply.headers.get("X-Xet-Cas-Url", "")
        self.token = self.reply.headers.get("X-Xet-Access-Token", "")

    def post(self, path: str, body: bytes, token: str | None = None) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return loopback.post(f"{self.url}/{path}", content=body, headers=headers)

    def send(self, name: str = XORB.name, body: bytes = XORB.body) -> httpx2.Response:
        return self.post(f"v1/xorbs/default/{name}", body)


def kept(world: World) -> list[str]:
    """All that a store and the Space have of large files."""
    folders = (world.hub.data / "xet", world.hub.data / "spaces" / "me" / "app" / "lfs")
    found = [p.name for folder in folders for p in folder.rglob("*") if p.is_file()]
    return [name for name in found if name != "id"]


def test_a_file_that_was_sent_can_be_committed(world: World) -> None:
    """Xorb, shard, then the commit names the file; not before."""
    world.create()
    client = Client(world)
    oid, size = hashlib.sha256(SHARD.content).hexdigest(), len(SHARD.content)
    line = f'{{"key":"lfsFile","value":{{"path":"f","oid":"{oid}","size":{size}}}}}'
    commit = '{"key":"header","value":{"summary":"s"}}\n' + line
    url = f"{world.hub.endpoint}/api/spaces/{SPACE}/commit/main"
    headers = {"Authorization": f"Bearer {WRITE}", "Content-Type": "application/x-ndjson"}
    assert [client.send().json()["was_inserted"] for _ in range(2)] == [True, False]
    assert loopback.post(url, content=commit, headers=headers).status_code == 422
    assert client.post("v1/shards", SHARD.body).status_code == 200
    assert loopback.post(url, content=commit, headers=headers).status_code == 200
    raw = loopback.get(f"{world.hub.endpoint}/spaces/{SPACE}/resolve/main/f", headers=headers)
    assert raw.content == SHARD.content
    assert "X-Xet-Hash" not in raw.headers


def test_who_gets_a_token(world: World) -> None:
    """Whoever may write, or for reading, read; a stranger is told that there is nothing."""
    world.create()
    reply = Client(world).reply
    assert reply.json() == {
        "casUrl": reply.headers["X-Xet-Cas-Url"],
        "accessToken": reply.headers["X-Xet-Access-Token"],
        "exp": int(reply.headers["X-Xet-Token-Expiration"]),
    }
    assert Client(world, scope="read", token=READ).reply.status_code == 200
    assert Client(world, token=READ).reply.status_code == 403
    assert Client(world, token=OTHER).reply.status_code == 404
    assert Client(world, scope="read", token=FREE).reply.status_code == 404


def test_what_a_token_is_good_for(world: World) -> None:
    """One for reading does not write, a person's is none, and a store's is nobody's elsewhere."""
    world.create()
    client, reading = Client(world), Client(world, scope="read")
    assert reading.send().status_code == 403
    assert reading.post("v1/shards", SHARD.body).status_code == 403
    for token in (WRITE, "hf_nobody", client.token[:-1]):
        assert client.post(f"v1/xorbs/default/{XORB.name}", XORB.body, token).status_code == 401
        assert client.post("v1/shards", SHARD.body, token).status_code == 401
    headers = {"Authorization": f"Bearer {client.token}"}
    for path in ("/api/whoami-v2", f"/api/spaces/{SPACE}"):
        assert loopback.get(world.hub.endpoint + path, headers=headers).status_code in (401, 404)
    assert kept(world) == []


def test_what_is_wrong_is_refused_and_not_kept(world: World) -> None:
    """Names that are no hashes, other content, shards of what was not sent."""
    world.create()
    client = Client(world)
    for name in ("..%2F..%2Ftoken", "a" * 63, "A" * 64, "a" * 64):
        assert client.send(name).status_code == 400, name
    assert client.send(body=XORB.body[:-1]).status_code == 400
    assert client.post("v1/shards", b"").status_code == 400
    assert client.post("v1/shards", SHARD.body).status_code == 400
    assert kept(world) == []
    client.url = client.url[:-1] + "x"
    assert client.send().status_code == 404


def test_what_is_not_offered_is_absent(world: World) -> None:
    """With the status that has the client do without, rather than that of an unknown route."""
    world.create()
    client = Client(world)
    base = httpx2.URL(client.url)
    for url, method in (
        (f"{base}/v1/chunks/default/{XORB.name}", "GET"),
        (f"{base}/v1/xorb-grants/default/{XORB.name}", "POST"),
        (f"{base}/v2/shards", "POST"),
        (base.copy_with(path="/v1/telemetry"), "POST"),
    ):
        headers = {"Authorization": f"Bearer {client.token}"}
        assert loopback.request(method, url, headers=headers).status_code == 404


def test_a_file_may_be_too_large(tmp_path: Path) -> None:
    """The Hub's rule counts for files that come by Xet too."""
    rules = Rules(file_size=len(SHARD.content) - 1)
    with hub_world(tmp_path / "hub", FakeRunner(), rules=rules) as world:
        world.create()
        client = Client(world)
        assert client.send().status_code == 200
        assert client.post("v1/shards", SHARD.body).status_code == 413
        assert not list((world.hub.data / "spaces" / "me" / "app").rglob("lfs/*/*"))


def test_a_client_that_goes_away_leaves_nothing(world: World) -> None:
    """Half a xorb is not kept, and the Hub goes on."""
    world.create()
    client = Client(world)
    address = httpx2.URL(client.url)
    with socket.create_connection((address.host, address.port)) as connection:
        head = (
            f"POST {address.path}/v1/xorbs/default/{XORB.name} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {client.token}\r\nContent-Length: {len(XORB.body)}\r\n\r\n"
        )
        connection.sendall(head.encode() + XORB.body[:-1])
        wait_until(lambda: kept(world) != [])
        connection.shutdown(socket.SHUT_WR)
        wait_until(lambda: kept(world) == [])
    assert client.send().status_code == 200
