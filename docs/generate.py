"""Writes what docs/ has from the program: cli, config, json, metrics; --check only compares."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import TypeAdapter

from ops import config_file
from ops.cli import cli
from ops.replies import REPLIES, Failure
from space_app.core.cache import CacheState
from space_app.core.manifest import Manifest
from space_app.core.scheduler import Load
from space_app.core.service import State
from space_app.exchange import Exchange
from space_app.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parent
WIDTH = 100
JSON_HEAD = """\
# What --json prints

Generated from `ops/replies.py` by `make fix`: change that, not this page. As a JSON Schema it is
[json.schema.json](json.schema.json): `#/$defs/ops plan` is what `ops plan` prints, and so on.

With `ops --json COMMAND`, stdout is one JSON document: the result, or [what failed](#a-failure).
Whatever is said meanwhile goes to stderr. Two print any number of objects, each on a line of its
own: `logs`, and `status --watch`; a failure is then the last line. A command that is interrupted
(exit code 130), or declined on a terminal, may print nothing.

Keys may be added by a later version; none is renamed, removed or changed in its meaning without a
word in the changelog. No value of a secret is ever printed."""


def main(arguments: list[str]) -> int:
    """Write the pages, or compare them; returns the exit code."""
    schema = replies_schema()
    pages = {
        "cli.md": cli_page(),
        "config.md": config_page(),
        "json.md": json_page(schema),
        "json.schema.json": json.dumps(schema, indent=2) + "\n",
        "metrics.md": metrics_page(),
    }
    stale = [
        name
        for name, text in pages.items()
        if not (DOCS / name).is_file() or (DOCS / name).read_text(encoding="utf-8") != text
    ]
    if "--check" in arguments:
        for name in stale:
            print(f"docs/{name} is not what the program says: make fix")
        return 1 if stale else 0
    for name in stale:
        (DOCS / name).write_text(pages[name], encoding="utf-8")
        print(f"docs/{name} written")
    return 0


def cli_page() -> str:
    """The help of every command."""
    parts = [
        "# The command line",
        "Generated from `--help` by `make fix`: change `ops/cli/`, not this page.",
    ]
    parts += [
        f"## {' '.join(('ops', *path))}\n\n```text\n{help_text}\n```"
        for path, help_text in helps(cli, click.Context(cli, info_name="ops"))
    ]
    return "\n\n".join(parts) + "\n"


def helps(
    command: click.Command, context: click.Context, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each command's path and help text, groups before their commands."""
    context.terminal_width = context.max_content_width = WIDTH
    yield path, command.get_help(context).rstrip()
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.commands[name]
            yield from helps(
                child, click.Context(child, info_name=name, parent=context), (*path, name)
            )


def config_page() -> str:
    """Every key of space.toml: its type, default and meaning."""
    schema = config_file.json_schema()
    parts = [
        "# space.toml",
        "Generated from the schema by `make fix`: change `ops/config.py`, not this page.",
        "`ops config schema` prints the schema itself, for editors.",
    ]
    for name, value in schema["properties"].items():
        parts.append(f"## [{name}]")
        section = schema["$defs"].get(value.get("$ref", "").rpartition("/")[2])
        if section is None:
            parts.append(value["description"])
            if (entry := schema["$defs"].get(_entry(value))) is not None:
                parts.append(f"{entry['description']}\n\n{table(entry)}")
        else:
            parts.append(f"{section['description']}\n\n{table(section)}")
    return "\n\n".join(parts) + "\n"


def _entry(value: dict[str, Any]) -> str:
    patterns = [*value.get("patternProperties", {}).values(), value.get("additionalProperties", {})]
    return next((p["$ref"].rpartition("/")[2] for p in patterns if "$ref" in p), "")


def table(section: dict[str, Any]) -> str:
    """One line for each key."""
    rows = ["| key | type | default | |", "|---|---|---|---|"]
    for key, value in section["properties"].items():
        required = key in section.get("required", ())
        default = "required" if required else f"`{_toml(value.get('default'))}`"
        if value.get("default") is None and not required:
            default = ""
        rows.append(f"| `{key}` | {_type(value)} | {default} | {value.get('description', '')} |")
    return "\n".join(rows)


def _toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case list() | tuple():
            return f"[{', '.join(map(_toml, value))}]"
        case _:
            return str(value)


def _type(value: dict[str, Any]) -> str:
    if "enum" in value:
        return " or ".join(f"`{_toml(choice)}`" for choice in value["enum"])
    if "const" in value:
        return f"`{_toml(value['const'])}`"
    if "anyOf" in value:
        kinds = [_type(kind) for kind in value["anyOf"] if kind.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if value.get("type") == "array":
        return f"array of {_type(value.get('items', {}))}"
    return {"object": "table", "boolean": "true or false"}.get(
        value.get("type", ""), str(value.get("type", "table"))
    )


def replies_schema() -> dict[str, Any]:
    """The JSON Schema of what each command prints with --json, under the command's name."""
    kinds = {**REPLIES, "a failure": Failure}
    schemas, definitions = TypeAdapter.json_schemas(
        [(name, "validation", TypeAdapter(kind)) for name, kind in kinds.items()]
    )
    commands = {f"ops {name}": schemas[name, "validation"] for name in REPLIES}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What `ops --json` prints",
        "description": "#/$defs/ops plan and so on; whatever fails prints #/$defs/Failure.",
        "$defs": commands | definitions["$defs"],
    }


def json_page(schema: dict[str, Any]) -> str:
    """What each command prints with --json: keys, types and meaning."""
    models = schema["$defs"]
    nested: set[str] = set()
    parts = [JSON_HEAD, f"## A failure\n\n{_model('Failure', models, nested)}"]
    for command in REPLIES:
        reply = models[f"ops {command}"]
        parts.append(f"## ops {command}")
        parts += [_reply(kind, models, nested) for kind in reply.get("anyOf", [reply])]
    parts.append("## Parts\n\nObjects inside those above.")
    described: dict[str, str] = {}
    while rest := nested - described.keys():
        described |= {name: _model(name, models, nested) for name in rest}
    parts += [f"### {name}\n\n{text}" for name, text in sorted(described.items())]
    return "\n\n".join(parts) + "\n"


def _reply(kind: dict[str, Any], models: dict[str, Any], nested: set[str]) -> str:
    many = kind.get("type") == "array"
    name = _name(kind["items"] if many else kind)
    if name == "Config":
        return "Every key of [space.toml](config.md) with the value in force."
    return f"{'An array of these. ' if many else ''}{_model(name, models, nested)}"


def _model(name: str, models: dict[str, Any], nested: set[str]) -> str:
    """What an object is and a line for each key; what is inside it is added to `nested`."""
    model = models[name]
    text = str(model["description"]).replace("\n\n", " ")
    if "properties" not in model:
        return text
    rows = ["| key | type | |", "|---|---|---|"]
    for key, value in model["properties"].items():
        rows.append(f"| `{key}` | {_kind(value, nested)} | {value.get('description', '')} |")
    return f"{text}\n\n" + "\n".join(rows)


def _kind(value: dict[str, Any], nested: set[str]) -> str:
    """A type in JSON's words."""
    if name := _name(value):
        nested.add(name)
        return f"[{name}](#{name.lower()})"
    if "anyOf" in value:
        return " or ".join(_kind(kind, nested) for kind in value["anyOf"])
    if choices := value.get("enum") or ([value["const"]] if "const" in value else []):
        return " or ".join(f"`{json.dumps(choice)}`" for choice in choices)
    if inner := value.get("items") or value.get("additionalProperties"):
        return f"{value['type']} of {_kind(inner, nested)}"
    plain = {"boolean": "true or false"}.get(value["type"], str(value["type"]))
    return f"{plain}, a time in ISO 8601" if value.get("format") == "date-time" else plain


def _name(value: dict[str, Any]) -> str:
    return str(value.get("$ref", "")).rpartition("/")[2]


def metrics_page() -> str:
    """Every metric of the server's own: its type, labels and meaning."""
    manifest = Manifest.model_construct(
        model="", revision=None, fingerprint="", backend="", precision=""
    )
    metrics = Metrics(manifest)
    nothing = State(warm=True, load=Load(0, 0, 0.0), cache=CacheState(0, 0, 0, 0, 0))
    metrics.watch(lambda: nothing)
    metrics.begun()
    # A series with labels is there once something was counted.
    metrics.ended(Exchange("", "GET", "/", 200, "", begun=0.0, ended=1.0))
    rows = ["| metric | type | labels | |", "|---|---|---|---|"]
    for family in metrics.families():
        if family.name.startswith("process_"):
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = dict.fromkeys(label for sample in family.samples for label in sample.labels)
        shown = ", ".join(f"`{label}`" for label in labels if label != "le")
        rows.append(f"| `{name}` | {family.type} | {shown} | {family.documentation} |")
    of_the_process = ("cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds")
    shown = ", ".join(f"`process_{name}`" for name in of_the_process)
    parts = [
        "# Metrics",
        "Generated from the server by `make fix`: change `space_app/metrics.py`, not this page.",
        "How to read them is in [observe.md](observe.md).",
        "\n".join(rows),
        f"Besides these, what Prometheus' client tells of a process on Linux: {shown} and others.",
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
