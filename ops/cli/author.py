"""Commands for whoever writes a space.toml: init, config, render."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from ops.cli.context import Globals, pass_globals
from ops.errors import Exit


@click.command()
@click.argument("repo_id", metavar="NAME")
@pass_globals
def init(options: Globals, repo_id: str) -> None:
    """Write a commented space.toml for a Space called NAME.

    \b
    Example: ops init my-embeddings
    """
    from ops.init import init as write_config

    write_config(options.config_path, repo_id)
    text = f"Wrote {options.config_path}. Next: ops rehearse, then ops deploy."
    options.output.result(text, {"path": str(options.config_path), "repo_id": repo_id})


@click.group()
def config() -> None:
    """Look at space.toml.

    \b
    Example: ops --env staging config show
    """


@config.command("show")
@pass_globals
def config_show(options: Globals) -> None:
    """Show every key with the value in force, defaults included.

    \b
    Example: ops config show
    """
    data = options.config().model_dump(mode="json")
    options.output.result(json.dumps(data, indent=2, ensure_ascii=False), data)


@config.command("validate")
@pass_globals
def config_validate(options: Globals) -> None:
    """Check space.toml and each of its environments.

    \b
    Example: ops config validate
    """
    from ops import config_file

    names: tuple[str | None, ...] = (None, *config_file.environments(options.config_path))
    if options.environment is not None:
        names = (options.environment,)
    for name in names:
        config_file.load(options.config_path, name)
    found = [name or "default" for name in names]
    options.output.result(
        f"{options.config_path} is valid: {', '.join(found)}.",
        {"valid": True, "environments": found},
    )


@config.command("schema")
@pass_globals
def config_schema(options: Globals) -> None:
    """Print the JSON Schema of space.toml, for editors.

    \b
    Example: ops config schema > space.schema.json
    """
    from ops import config_file

    schema = config_file.json_schema()
    options.output.result(json.dumps(schema, indent=2, ensure_ascii=False), schema)


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/space"),
    show_default=True,
    help="The folder to write to, or to compare with.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit 3 when the folder differs.")
@pass_globals
def render(options: Globals, out: Path, *, check: bool) -> None:
    """Render the Space's repository from space.toml.

    \b
    Examples: ops render --out build/space
              ops render --out build/space --check
    """
    from ops import render as verb

    tree = verb.render(options.config())
    if not check:
        written = verb.write(tree, out)
        text = f"{out}: {len(tree)} files, {len(written)} of them new or changed."
        options.output.result(text, {"folder": str(out), "files": list(tree), "written": written})
        return
    difference = verb.compare(tree, out)
    lines = [f"  {kind}: {p}" for kind, paths in asdict(difference).items() for p in paths]
    text = "\n".join([f"{out} differs from space.toml and the templates:", *lines])
    options.output.result(text if difference else f"{out} is up to date.", asdict(difference))
    if difference:
        raise SystemExit(Exit.CHANGES)
