from __future__ import annotations

import base64
import random
import string
from pathlib import Path

import pytest

from ops.config import Config
from ops.render import render
from ops.secret_scan import Suspect, scan

PROJECT = Path(__file__).resolve().parents[2]
CHANCE = random.Random(6)  # noqa: S311 -- the same in every run
LETTERS = string.ascii_letters + string.digits


def made(alphabet: str, length: int) -> str:
    """A text that no file of this project holds."""
    return "".join(CHANCE.choices(alphabet, k=length))


def jwt() -> str:
    """Three parts in base64url, as in RFC 7519."""
    parts = (b'{"alg":"HS256"}', b'{"sub":"1234567890"}', CHANCE.randbytes(32))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


KNOWN = {
    "a Hugging Face token": "hf_" + made(LETTERS, 34),
    "a GitHub token": "ghp_" + made(LETTERS, 36),
    "a GitLab token": "glpat-" + made(LETTERS, 20),
    "an AWS access key": "AKIA" + made(string.ascii_uppercase, 16),
    "a Google API key": "AIza" + made(LETTERS, 35),
    "a Slack token": "xoxb-" + made(string.digits, 12) + "-" + made(LETTERS, 24),
    "a Stripe key": "sk_live_" + made(LETTERS, 24),
    "an npm token": "npm_" + made(LETTERS, 36),
    "a private key": "-----BEGIN RSA PRIVATE KEY-----",
    "a JSON Web Token": jwt(),
    "a password in a URL": "https://me:" + made(LETTERS, 12) + "@index.example/simple",
    "an API key": "sk-proj-" + made(LETTERS, 40),
}


@pytest.mark.parametrize(("kind", "secret"), KNOWN.items(), ids=KNOWN)
@pytest.mark.parametrize("line", ["{}", "KEY = '{}'", 'ARG INDEX="{}"', "<!-- {} -->"])
def test_a_known_form_is_found_where_it_stands(kind: str, secret: str, line: str) -> None:
    """Each kind by its own name, with path and line, in whatever is around it."""
    content = f"first\nsecond\n{line.format(secret)}\n".encode()
    assert scan({"a/b.txt": content, "clean.txt": b"words\n"}) == (Suspect("a/b.txt", 3, kind),)


@pytest.mark.parametrize("text", ["github_pat_" + made(LETTERS, 40), "hf_jwt_" + jwt()])
def test_other_forms_of_the_same_makers(text: str) -> None:
    """Fine-grained tokens of GitHub, and those that the Hub exchanges, count as well."""
    (suspect, *_) = scan({"f": text.encode()})
    assert suspect.certain


@pytest.mark.parametrize(
    "line",
    [
        f"value = {made(LETTERS, 40)}x7Q",
        f"EMBED_API_KEYS=n8n={made(LETTERS, 44)}",
        f"password: {made('0123456789abcdef', 32)}",
        f"api_key = '{'4f1c2b7d-90ae-43f8-b6d5-1e0a7c9b2d3f'}'",
        base64.b64encode(CHANCE.randbytes(48)).decode(),
    ],
)
def test_random_text_is_found_without_a_known_form(line: str) -> None:
    """A key that no form gives away is suspected, and no more than that."""
    assert scan({"f": line.encode()}) == (
        Suspect("f", 1, "random text, as keys are", certain=False),
    )


def test_a_report_shows_no_secret() -> None:
    """Neither as text nor as a value does a suspect hold what was found."""
    for secret in KNOWN.values():
        for suspect in scan({"f": f"key = {secret}".encode()}):
            assert secret[5:] not in f"{suspect} {suspect!r}"


@pytest.mark.parametrize(
    "line",
    [
        "revision = a5beb1e3e68b9ab74eb54cfd186867f64f240e1a",
        "numpy==2.4.6 --hash=sha256:" + made("0123456789abcdef", 64),
        '"integrity": "sha512-' + base64.b64encode(CHANCE.randbytes(64)).decode() + '",',
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7  /build/cl100k_base",
        "models: [sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2]",
        "mistralai/Mixtral-8x7B-Instruct-v0.1 nvidia/NVIDIA-Nemotron-3.5-Transcribe-30B-A4B",
        "EMBED_API_KEYS = { env = 'EMBED_API_KEYS' }",
        "token = settings.hugging_face_token_of_the_owner",
        'PIP_INDEX_URL = "https://${USER}:${PASSWORD}@index.example/simple"',
        "https://index.example:8443/a@b",
        "class OpenTelemetryProtocolHttpExporter2: mask-image: task-oriented-sk-something-long",
        "uuid = 0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
    ],
)
def test_what_only_looks_long_is_left_alone(line: str) -> None:
    """Commits, checksums, names of models and classes, references to secrets are none."""
    assert scan({"f": line.encode()}) == ()


def test_what_this_project_ships_is_clean() -> None:
    """Not one line of a rendered Space, of its templates or of the lock files is suspected."""
    config = Config.model_validate(
        {
            "space": {"repo_id": "me/app"},
            "image": {"cl100k": True},
            "secrets": {"EMBED_API_KEYS": {"env": "EMBED_API_KEYS"}},
        }
    )
    files = [
        *(PROJECT / "templates").iterdir(),
        *(PROJECT / ".ci").iterdir(),
        *(PROJECT / "tests" / "clients").glob("*.json"),
    ]
    tree = {str(path): path.read_bytes() for path in files if path.is_file()}
    assert scan(render(config) | tree) == ()


@pytest.mark.parametrize("name", [".env", "config/.netrc", "id_ed25519"])
def test_a_file_made_for_secrets_is_one(name: str) -> None:
    """Its name is enough, whatever is in it."""
    assert [str(found) for found in scan({name: b""})] == [f"{name}:1 (a file made for secrets)"]


def test_binary_files_are_read_too(tmp_path: Path) -> None:
    """Bytes that are no text hide nothing and stop nothing."""
    secret = KNOWN["a Hugging Face token"].encode()
    path = tmp_path / "f"
    path.write_bytes(b"\0\xff\xfe\n" + secret + b"\0")
    assert scan({"f": path.read_bytes()}) == (Suspect("f", 2, "a Hugging Face token"),)


def test_most_random_keys_are_found() -> None:
    """Of keys of 32 letters and digits, nine in ten; words in the same alphabet, never."""
    keys = [made(LETTERS, 32) for _ in range(500)]
    found = sum(bool(scan({"f": key.encode()})) for key in keys)
    assert found >= 450
