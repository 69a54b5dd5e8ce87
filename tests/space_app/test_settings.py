from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from space_app.core.errors import SettingsError
from space_app.core.types import Role
from space_app.settings import ApiKey, Settings, from_environment

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "do-not-show-me"


def read(folder: Path, **variables: str) -> Settings:
    """Settings with these variables set."""
    return from_environment({"EMBED_MODEL_DIR": str(folder), **variables})


def test_defaults(tmp_path: Path) -> None:
    """A model's folder is all that has to be set."""
    settings = read(tmp_path)

    assert (settings.host, settings.port) == ("0.0.0.0", 7860)  # noqa: S104 -- the default
    assert (settings.max_payload_mb, settings.max_inputs) == (10, 2048)
    assert (settings.max_wait_seconds, settings.cache_bytes) == (30, 16 * 1024 * 1024)
    assert settings.api_keys == ()
    assert settings.default_input_type is Role.DOCUMENT
    assert (settings.cors_origins, settings.cl100k_file) == ((), None)
    assert settings.threads >= 1


def test_every_variable_is_read(tmp_path: Path) -> None:
    """Each variable sets the field that it names."""
    (vocabulary := tmp_path / "cl100k_base.tiktoken").touch()
    settings = read(
        tmp_path,
        EMBED_API_KEYS="a",
        EMBED_CACHE_MB="0",
        EMBED_CL100K_FILE=str(vocabulary),
        EMBED_CORS_ORIGINS="https://a.example",
        EMBED_DEFAULT_INPUT_TYPE="Query",
        EMBED_LOG_LEVEL="DEBUG",
        EMBED_MAX_INPUTS="5",
        EMBED_MAX_PAYLOAD_MB="3",
        EMBED_MAX_WAIT_SECONDS="9",
        EMBED_THREADS="7",
        HOST="127.0.0.1",
        PORT="8000",
    )

    assert settings == Settings(
        model_dir=tmp_path,
        api_keys=(ApiKey("key 1", "a"),),
        max_payload_mb=3,
        max_inputs=5,
        max_wait_seconds=9,
        cache_mb=0,
        cl100k_file=vocabulary,
        cors_origins=("https://a.example",),
        default_input_type=Role.QUERY,
        threads=7,
        log_level="debug",
        host="127.0.0.1",
        port=8000,
    )


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("ci=abc", [("ci", "abc")]),
        ("abc", [("key 1", "abc")]),
        ("ci=abc,laptop=def", [("ci", "abc"), ("laptop", "def")]),
        (" ci = abc\n\n def ,", [("ci", "abc"), ("key 3", "def")]),
    ],
)
def test_keys(tmp_path: Path, text: str, keys: list[tuple[str, str]]) -> None:
    """Keys are bare or named, separated by comma or newline, with space around them."""
    found = read(tmp_path, EMBED_API_KEYS=text).api_keys

    assert [(key.name, key.key) for key in found] == keys


@pytest.mark.parametrize(
    "text",
    ["", " \n,", f"ci={SECRET}=x", f"ci={SECRET} x", f"ci={SECRET}é", f"a={SECRET},a=b", "ci="],
)
def test_wrong_keys_are_refused_and_never_shown(tmp_path: Path, text: str) -> None:
    """No key, a broken one, or one name for two: refused, naming the variable alone."""
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, EMBED_API_KEYS=text)

    assert "EMBED_API_KEYS" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_keys_are_not_in_the_repr(tmp_path: Path) -> None:
    """Settings can be logged."""
    settings = read(tmp_path, EMBED_API_KEYS=f"ci={SECRET}")

    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EMBED_MAX_INPUTS", "0"),
        ("EMBED_MAX_INPUTS", "many"),
        ("EMBED_MAX_PAYLOAD_MB", "1.5"),
        ("EMBED_MAX_WAIT_SECONDS", "0"),
        ("EMBED_CACHE_MB", "-1"),
        ("EMBED_THREADS", "-1"),
        ("EMBED_THREADS", "²"),
        ("EMBED_LOG_LEVEL", "loud"),
        ("PORT", "65536"),
        ("EMBED_MODEL_DIR", "/no/such/folder"),
        ("EMBED_MODEL_DIR", ""),
    ],
)
def test_wrong_values_are_named(tmp_path: Path, name: str, value: str) -> None:
    """An error names its variable and the value."""
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, **{name: value})

    assert name in str(caught.value)
    assert value in str(caught.value)


@pytest.mark.parametrize("name", ["EMBED_THREADS", "EMBED_MODEL_DIR", "EMBED_CL100K_FILE"])
def test_an_endless_value_is_shortened(tmp_path: Path, name: str) -> None:
    """Thousands of characters are wrong like any other value, and not all of them are shown."""
    with pytest.raises(SettingsError, match=f"{name} is '999") as caught:
        read(tmp_path, **{name: "9" * 5000})

    assert len(str(caught.value)) < 500


def test_a_misspelt_variable_is_refused(tmp_path: Path) -> None:
    """EMBED_API_KEY does not leave the server open in silence."""
    with pytest.raises(SettingsError, match="did you mean EMBED_API_KEYS") as caught:
        read(tmp_path, EMBED_API_KEY=SECRET)

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", ()),
        ("*", ("*",)),
        ("https://App.example:8443", ("https://app.example:8443",)),
        (
            "https://a.example, http://localhost:3000\n",
            ("https://a.example", "http://localhost:3000"),
        ),
        ("chrome-extension://abcdef", ("chrome-extension://abcdef",)),
    ],
)
def test_origins(tmp_path: Path, text: str, origins: tuple[str, ...]) -> None:
    """Origins are as browsers send them, separated by comma or white space; * is any."""
    assert read(tmp_path, EMBED_CORS_ORIGINS=text).cors_origins == origins


@pytest.mark.parametrize(
    "text",
    [
        "a.example",
        "https://a.example/",
        "https://*.example",
        "https://a.example,*",
        "null",
        "https://",
    ],
)
def test_what_no_browser_would_send_as_an_origin(tmp_path: Path, text: str) -> None:
    """An origin that never matches is a mistake, and is said so at the start."""
    with pytest.raises(SettingsError, match="EMBED_CORS_ORIGINS"):
        read(tmp_path, EMBED_CORS_ORIGINS=text)


def test_a_vocabulary_that_is_not_there(tmp_path: Path) -> None:
    """It is known at the start, not by the first request."""
    with pytest.raises(SettingsError, match="EMBED_CL100K_FILE"):
        read(tmp_path, EMBED_CL100K_FILE=str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("variables", "protocol"),
    [
        ({}, ""),
        ({"OTEL_SERVICE_NAME": "mine"}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, "http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector/v1/traces"}, "http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "x", "OTEL_SDK_DISABLED": "True"}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "x", "OTEL_TRACES_EXPORTER": "none"}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, ""),
    ],
)
def test_whether_traces_are_asked_for(
    tmp_path: Path, variables: dict[str, str], protocol: str
) -> None:
    """A collector's address asks for traces, unless OpenTelemetry is turned off."""
    assert read(tmp_path, **variables).tracing == protocol


def test_a_keys_name_can_be_shown(tmp_path: Path) -> None:
    """What could not stand in a log or a metric is refused, and the key is not shown."""
    with pytest.raises(SettingsError, match="the name of entry 2 is not printable") as caught:
        read(tmp_path, EMBED_API_KEYS=f"a=b,ba\udcffd={SECRET}")

    assert SECRET not in str(caught.value)
