from __future__ import annotations

import base64
import random
import string
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ops import redaction, secret_scan
from ops.config import Config
from ops.render import render
from ops.secret_scan import Suspect, scan, scan_variables

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = Path(__file__).resolve().parents[2]
CHANCE = random.Random(6)  # noqa: S311 -- the same in every run
LETTERS = string.ascii_letters + string.digits
HEX = "0123456789abcdef"


def made(alphabet: str, length: int) -> str:
    """A text that no file of this project holds."""
    return "".join(CHANCE.choices(alphabet, k=length))


def in_base64(length: int) -> str:
    """So many random bytes."""
    return base64.b64encode(CHANCE.randbytes(length)).decode()


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
    "an AWS secret key": f"aws_secret_access_key = {made(LETTERS, 17)}+aB3/{made(LETTERS, 18)}",
    "an Azure key": "AccountName=a;AccountKey=" + in_base64(64),
    "a signed URL of Azure": f"https://a.example/c?sv=1&sig={made(LETTERS, 43)}%3D",
    "a webhook's address": f"https://hooks.slack.com/services/T01/B01/{made(LETTERS, 24)}",
    "a payment key": "shpat_" + made(HEX, 32),
    "a mail service's key": f"SG.{made(LETTERS, 22)}.{made(LETTERS, 43)}",
    "a Telegram bot's token": f"1234567890:AA{made(LETTERS, 33)}",
    "a Discord bot's token": f"M{made(LETTERS, 25)}.Gx{made(LETTERS, 4)}.{made(LETTERS, 38)}",
    "a Twilio key": f"TWILIO_AUTH_TOKEN={made(HEX, 32)}",
    "a DigitalOcean token": "dop_v1_" + made(HEX, 64),
    "a Databricks token": "dapi" + made(HEX, 32),
    "a hosting service's token": "sbp_" + made(HEX, 40),
    "an age key": "AGE-SECRET-KEY-1" + made("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58),
    "a vault's token": "hvs." + made(LETTERS, 90),
    "a token of a package index": "pypi-AgEIcHlwaS5vcmc" + made(LETTERS, 60),
    "an Alibaba access key": "LTAI" + made(LETTERS, 20),
}
"""One of each kind; the rules' other forms are below."""


@pytest.mark.parametrize(("kind", "secret"), KNOWN.items(), ids=KNOWN)
@pytest.mark.parametrize("line", ["{}", "KEY = '{}'", 'ARG INDEX="{}"', "<!-- {} -->"])
def test_a_known_form_is_found_where_it_stands(kind: str, secret: str, line: str) -> None:
    """Each kind by its own name, with path and line, in whatever is around it."""
    content = f"first\nsecond\n{line.format(secret)}\n".encode()
    assert scan({"a/b.txt": content, "clean.txt": b"words\n"}) == (Suspect("a/b.txt", 3, kind),)


@pytest.mark.parametrize(
    "text",
    [
        "github_pat_" + made(LETTERS, 40),
        "hf_jwt_" + jwt(),
        f"xapp-1-A0BCDEFGH1J-1234567890123-{made(HEX, 64)}",
        "sk_test_" + made(LETTERS, 24),
        "whsec_" + made(LETTERS, 32),
        "rk_test_" + made(LETTERS, 24),
        f'"SecretAccessKey": "{made(LETTERS, 37)}aB3"',
        "Endpoint=sb://a;SharedAccessKey=" + in_base64(32),
        f"https://discord.com/api/webhooks/123456789012345678/{made(LETTERS, 68)}",
        "key-" + made(HEX, 32),
        "gsk_" + made(LETTERS, 52),
        "dckr_pat_" + made(LETTERS, 27),
        "-----BEGIN OPENSSH PRIVATE KEY-----",
    ],
)
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
        '"integrity": "sha512-' + in_base64(64) + '",',
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


@pytest.mark.parametrize(
    "name",
    [
        *(".env", ".env.local", "prod.env", "config/.netrc", "id_ed25519", "a/ID_RSA.work"),
        *("secrets.toml", "secrets.yaml", "secrets.json", "credentials.json", "x/.aws/credentials"),
        *("tls.pem", "tls.key", "a.p12", "a.pfx", "a.kdbx", "terraform.tfstate", ".npmrc"),
    ],
)
def test_a_file_made_for_secrets_is_one(name: str) -> None:
    """Its name is enough, whatever is in it."""
    assert [str(found) for found in scan({name: b""})] == [f"{name}:1 (a file made for secrets)"]


@pytest.mark.parametrize(
    "name", [".env.example", "prod.env.sample", "id_rsa.pub", "environment.py", "secrets.py", "key"]
)
def test_a_file_made_to_be_shown_is_none(name: str) -> None:
    """An example of a .env, a public key, and words that only begin like such a name."""
    assert scan({name: b"NAME=value\n"}) == ()


def test_a_certificate_is_public() -> None:
    """A *.pem file of certificates is none, one with a key is."""
    certificate = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    assert scan({"ca.pem": certificate}) == ()
    assert len(scan({"ca.pem": certificate + b"-----BEGIN PRIVATE KEY-----\n"})) == 2


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_an_encoding_hides_nothing(encoding: str) -> None:
    """Windows writes UTF-16 at times."""
    text = f"first\r\nkey = {KNOWN['a Stripe key']}\r\n"
    assert scan({"f": text.encode(encoding)}) == (Suspect("f", 2, "a Stripe key"),)


def test_the_value_of_a_secret_is_found() -> None:
    """Whatever its form, and encoded as well; a short one may be any word."""
    redaction.hide("correct horse")
    redaction.hide("word")
    encoded = base64.b64encode(b"me:correct horse").decode()
    tree = {"a": b"a word\nis correct horse\n", "b": f"Basic {encoded}\n".encode()}
    kind = "the value of a secret"
    assert scan(tree) == (Suspect("a", 2, kind), Suspect("b", 1, kind))


def test_a_name_can_call_its_value_secret() -> None:
    """A variable's name says what no form does; it is suspected, and no more than that."""
    variables = {"DB_PASSWORD": "summer", "MAX_TOKENS": "512", "API_KEY": "", "HF_TOKEN": "x"}
    assert scan_variables(variables) == (
        Suspect("variables.DB_PASSWORD", 1, "its name says so", certain=False),
        Suspect("variables.HF_TOKEN", 1, "its name says so", certain=False),
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: f"example.com/m v1.0.0 h1:{in_base64(32)}",
        lambda: f"    resolution: {{integrity: sha512-{in_base64(64)}}}",
        lambda: (
            f'{{url = "https://x.example/{made(HEX, 60)}/a.whl", hash = "sha256:{made(HEX, 64)}"}}'
        ),
        lambda: f'  resolved "https://registry.example/p-1.tgz#{made(HEX, 40)}"',
        lambda: f"![x](data:image/png;base64,{in_base64(300)})",
        lambda: f' "image/png": "iVBOR{in_base64(300)}\\n",',
    ],
)
def test_lock_files_and_pictures_are_never_suspected(make: Callable[[], str]) -> None:
    """Not one of hundreds of checksums, whichever tool wrote it, nor a picture in a page."""
    assert scan({"f": "\n".join(make() for _ in range(300)).encode()}) == ()


def test_a_large_file_takes_no_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known forms are found in it; randomness is not looked for."""
    monkeypatch.setattr(secret_scan, "_LARGE", 1000)
    random = f"x = {made(LETTERS, 40)}x7Q\n" * 100
    content = f"{random}{KNOWN['an age key']}\n".encode()
    assert scan({"f": content}) == (Suspect("f", 101, "an age key"),)


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
