"""Commands for whoever writes a space.toml: init, config, render, doctor."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from ops.cli.context import UNTOUCHED, Globals, dry_run, hub, pass_globals
from ops.errors import ConfigError, Exit

if TYPE_CHECKING:
    from ops.config import Config
    from ops.workflow import Toolkit


@click.command()
@click.argument("repo_id", metavar="[NAME]", required=False)
@click.option(
    "--github-actions",
    is_flag=True,
    help="Write a workflow that plans on pull requests and deploys main.",
)
@click.option("--oidc", is_flag=True, help="The workflow stores no token: Trusted Publishers.")
@click.option(
    "--toolkit",
    "toolkit_name",
    metavar="OWNER/NAME@REF",
    help="Where on GitHub the workflow gets ops from; by default where this one is from.",
)
@dry_run
@pass_globals
def init(
    options: Globals,
    repo_id: str | None,
    toolkit_name: str | None,
    *,
    github_actions: bool,
    oidc: bool,
    dry_run: bool,
) -> None:
    """Write a commented space.toml for a Space called NAME.

    With --github-actions, a workflow for the Space as well; a space.toml that is there already
    stays as it is, and no NAME is needed.

    \b
    Examples: ops init my-embeddings
              ops init --github-actions
    """
    if not github_actions:
        if oidc or toolkit_name is not None:
            raise click.UsageError("--oidc and --toolkit belong to --github-actions.")
        if repo_id is None:
            raise click.UsageError("Missing argument NAME: ops init my-embeddings.")
    path = options.config_path
    config = options.config() if github_actions and path.exists() else None
    new = config is None or repo_id not in (None, config.space.repo_id)
    if repo_id is not None and new:
        if options.environment is not None:
            raise click.UsageError(f"A new {path} has no environment {options.environment!r}.")
        from ops.init import init as write_config

        config = write_config(path, repo_id, dry_run=dry_run)
    if github_actions:
        _init_workflow(
            options, config or options.config(), toolkit_name, oidc=oidc, new=new, dry_run=dry_run
        )
        return
    if dry_run:
        options.output.say(f"{path} would be written.")
    text = UNTOUCHED if dry_run else f"Wrote {path}. Next: ops rehearse, then ops deploy."
    options.output.result(text, {"path": str(path), "repo_id": repo_id, "dry_run": dry_run})


def _init_workflow(
    options: Globals,
    config: Config,
    toolkit_name: str | None,
    *,
    oidc: bool,
    new: bool,
    dry_run: bool,
) -> None:
    """Write the workflow; `new` says whether space.toml was written with it."""
    from ops import workflow as verb
    from ops.adapters.git_checkout import top_folder

    folder = options.config_path.resolve().parent
    top = top_folder(folder) or folder
    job = verb.Job(
        config=config,
        config_path=PurePosixPath(options.config_path.resolve().relative_to(top)),
        environment=options.environment,
        toolkit=verb.toolkit(toolkit_name) if toolkit_name is not None else _own_toolkit(top),
        oidc=oidc,
    )
    written = verb.workflow(job)
    path = top / verb.PLACE
    changed = verb.write(path, written.text, overwrite=options.yes, dry_run=dry_run)
    files = [options.config_path] * new + [path] * changed
    if dry_run:
        for file in files:
            options.output.say(f"{file} would be written.")
    lines = [UNTOUCHED] if dry_run else [f"Wrote {file}." for file in files]
    lines += [] if changed else [f"{path} is up to date."]
    lines += [
        f"Set the secret {name} on GitHub: {about}." for name, about in written.secrets.items()
    ]
    options.output.result(
        "\n".join(lines),
        {
            "path": str(options.config_path),
            "repo_id": config.space.repo_id,
            "workflow": str(path),
            "changed": changed,
            "secrets": written.secrets,
            "dry_run": dry_run,
        },
    )


def _own_toolkit(top: Path) -> Toolkit:
    """This toolkit: a part of the checkout at `top`, or where on GitHub it comes from."""
    from ops.adapters import git_checkout
    from ops.workflow import Toolkit

    if (top / "ops").is_dir() and Path(__file__).resolve().is_relative_to(top / "ops"):
        return Toolkit()
    name, commit = git_checkout.github_name(), git_checkout.source_commit()
    if name is None or commit is None:
        raise ConfigError(
            "The workflow cannot know where to get ops from.",
            cause="This toolkit is no clone of a repository on GitHub.",
            next_step="Say where it is: --toolkit OWNER/NAME@COMMIT.",
        )
    return Toolkit(name, commit.partition("+")[0])


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
    options.output.document(options.config().model_dump(mode="json"))


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

    options.output.document(config_file.json_schema())


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/space"),
    show_default=True,
    help="The folder to write to, or to compare with.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit 3 when the folder differs.")
@dry_run
@pass_globals
def render(options: Globals, out: Path, *, check: bool, dry_run: bool) -> None:
    """Render the Space's repository from space.toml.

    \b
    Examples: ops render --out build/space
              ops render --out build/space --check
    """
    from ops import render as verb
    from ops.secret_scan import published

    config = options.config()
    tree = verb.render(config)
    for suspect in published(config, tree):
        options.output.say(f"Might be a secret: {suspect}")
    if not check:
        written = verb.write(tree, out, dry_run=dry_run)
        text = f"{out}: {len(tree)} files, {len(written)} of them new or changed."
        if dry_run:
            options.output.say(text)
            text = UNTOUCHED
        data = {"folder": str(out), "files": list(tree), "written": written, "dry_run": dry_run}
        options.output.result(text, data)
        return
    difference = verb.compare(tree, out)
    lines = [f"  {kind}: {p}" for kind, paths in asdict(difference).items() for p in paths]
    text = "\n".join([f"{out} differs from space.toml and the templates:", *lines])
    options.output.result(text if difference else f"{out} is up to date.", asdict(difference))
    if difference:
        raise SystemExit(Exit.CHANGES)


@click.command()
@pass_globals
def doctor(options: Globals) -> None:
    """Check all that can be known before anything is touched.

    space.toml and its secrets, the files to be pushed, token, plan, name, hardware, model, tools.
    Writes nothing. Exits 0 when nothing failed, else with the first failure's exit code.

    \b
    Examples: ops doctor
              ops --env staging --json doctor
    """
    from ops import doctor as verb
    from ops.adapters.hf_environment import default_endpoint
    from ops.adapters.hf_hub import Hub
    from ops.adapters.retries import Retries

    # Whether the Hub answers is the question here: it is not asked for long.
    public = Hub(default_endpoint(), None, retries=Retries(tries=2))
    context = verb.Context(
        verb.load(options.config_path, options.environment),
        public=public,
        hub=verb.attempt(hub),
        secrets=options.secret_reader(),
    )
    findings = verb.examine(context, options.output.finding)
    code = verb.exit_code(findings)
    options.output.examined(findings, code)
    if code:
        raise SystemExit(code)
