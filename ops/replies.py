"""What each command prints with --json: the documented promise, to which a test holds the program.

No command imports this, so that none starts the slower for it: docs/json.md and
docs/json.schema.json are written from here, and the tests read here what to expect.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 -- pydantic reads it when it runs
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, RootModel

from ops.config import Config, Visibility


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Problem(_Reply):
    """A failure: what happened, and what to do."""

    message: str
    """What happened, in a sentence."""

    cause: str | None
    """Why, probably."""

    aftermath: str | None
    """What was done about it meanwhile, and what is left on the Hub."""

    next_step: str | None
    """What to run or to change."""

    exit_code: int
    """The exit code of `ops`, never 0."""

    log_tail: list[str]
    """The last lines of the log of whatever failed."""


class Failure(_Reply):
    """Printed by any command that fails, instead of its result."""

    error: Problem


class InitConfig(_Reply):
    """A new space.toml."""

    path: str
    """Where space.toml is."""

    repo_id: str
    """The Space's name as it was given."""

    dry_run: bool
    """Whether nothing was written."""


class InitWorkflow(InitConfig):
    """With --github-actions: a workflow, and a space.toml where there was none."""

    workflow: str
    """Where the workflow is."""

    changed: bool
    """Whether that was missing, or another one."""

    secrets: dict[str, str]
    """Names of the secrets to set on GitHub, each with what it must hold."""


class Validated(_Reply):
    """A space.toml without a mistake; one with mistakes is a failure."""

    valid: Literal[True]

    environments: list[str]
    """What was checked: `default`, and each environment by its name."""


class JsonSchema(RootModel[dict[str, Any]]):
    """The JSON Schema of space.toml."""


class Rendered(_Reply):
    """The Space's repository, in a folder."""

    folder: str

    files: list[str]
    """Every file of the Space's repository."""

    written: list[str]
    """Those that were new or changed."""

    dry_run: bool
    """Whether nothing was written."""


class Difference(_Reply):
    """With --check: files of the folder by how they differ. Exit code 3 unless all are empty."""

    missing: list[str]
    changed: list[str]

    extra: list[str]
    """Files that the Space's repository has not."""


class Finding(_Reply):
    """What the doctor found of one thing."""

    name: str
    outcome: Literal["ok", "warning", "failure", "skipped"]
    detail: str

    fix: str | None
    """What to do about it."""

    exit_code: int
    """The exit code that this failure would have; 0 for all else."""


class Examination(_Reply):
    """All that can be known before anything is touched."""

    findings: list[Finding]

    exit_code: int
    """That of the first failure, which `ops doctor` ends with; 0 without any."""


class Built(_Reply):
    """A Space that was built here."""

    runner: str
    """`docker` or `process`."""

    reference: str
    """The image's tag, or the folder that was made in its place."""

    size_bytes: int


class ServerInfo(_Reply):
    """What the server's /info says of itself."""

    model: str
    dimensions: int
    query_instruction: str
    document_instruction: str

    max_payload_mb: int
    """The largest request, in megabytes."""

    max_inputs: int
    """The most texts in a request."""

    max_length: int
    """The longest text, in tokens; what is beyond is cut."""

    fingerprint: str
    """Of all that decides a vector: vectors are comparable inside one only."""

    api_key_required: bool


class Check(_Reply):
    """One check of a server or of a client."""

    name: str
    outcome: Literal["passed", "failed", "skipped"]
    detail: str

    seconds: float
    """How long it took."""


class Measurements(_Reply):
    """What was measured; null where it cannot be known from here."""

    start_seconds: float | None
    """From the server's start to healthy."""

    p50_ms: float | None
    """Milliseconds that a short query takes, the median of one after another."""

    p95_ms: float | None
    """The same, the 95th percentile."""

    resident_bytes: int | None
    """The server's memory, in bytes."""


class SmokeTest(_Reply):
    """The proof of a server. Exit code 6 when a check failed."""

    target: str
    """The URL, or what was started here."""

    info: ServerInfo
    checks: list[Check]
    measured: Measurements

    passed: bool
    """Whether no check failed."""


class TokenFiles(_Reply):
    """The files that hold somebody's tokens for a local Hub."""

    write: str
    read: str


class HubServed(_Reply):
    """A local Hub, printed as soon as it serves; it goes on until Ctrl-C."""

    endpoint: str
    """What to set HF_ENDPOINT to."""

    token_file: str
    """The file with the owner's token, for HF_TOKEN."""

    token_files: dict[str, TokenFiles]
    """Everybody's, by user."""


class HubReset(_Reply):
    """A local Hub's data, removed."""

    deleted: str
    """The folder."""

    dry_run: bool
    """Whether nothing was deleted."""


class HubFault(_Reply):
    """A fault that is still to come on a local Hub."""

    number: int

    fault: str
    """As `ops hub fault add` takes it."""

    taken: int
    """How often it has happened."""


class Latency(_Reply):
    """How long requests took."""

    requests: int
    """How many were timed."""

    p50_ms: float
    """The median, in milliseconds."""

    p95_ms: float
    p99_ms: float


class Throughput(_Reply):
    """What clients got that ask all the time."""

    requests_per_second: float
    texts_per_second: float

    tokens_per_second: float | None
    """Null where the server counts no tokens."""

    refused: int
    """Replies of 429, after which a client waited as it was told."""

    latency: Latency


class Benched(_Reply):
    """How fast a server answers."""

    url: str

    idle: Latency
    """Short queries, one after another."""

    mixed: Throughput
    """Many clients, texts of mixed lengths."""

    bulk: Throughput | None
    """A client of large requests; null without --bulk."""

    beside: Latency | None
    """Short queries beside that one."""


class FileChange(_Reply):
    """A file that deploy would write or remove."""

    path: str
    kind: Literal["add", "change", "remove"]

    drift: bool
    """Whether it was changed on the Hub since the last release."""

    diff: str
    """A unified diff; empty for a file that is no text, or of a Space that is not there yet."""


class SettingChange(_Reply):
    """A setting that deploy would change."""

    field: Literal["visibility", "hardware", "sleep time", "variable", "secret"]
    kind: Literal["add", "change", "remove"]

    name: str
    """A variable's or a secret's name; empty for the others."""

    before: str | None
    """The value on the Hub; of a secret, why it is written again. Sleep times are seconds."""

    after: str | None
    """The value that it gets; null for a secret."""

    drift: bool
    """Whether it was changed on the Hub since the last release."""


class Suspect(_Reply):
    """A place that looks like a secret."""

    path: str
    """A file, or `variables.NAME`."""

    line: int
    kind: str

    certain: bool
    """Whether it has the form of a key, so that ops deploy refuses to publish it."""


class Plan(_Reply):
    """What deploy would do. With --exit-code, exit code 3 when that is anything."""

    repo_id: str
    files: list[FileChange]
    settings: list[SettingChange]

    vectors: list[str]
    """Keys of the model that change: stored vectors can then not be compared with new ones."""

    cost_before: float | None
    """Dollars for a month without sleep, as it is; null for no Space, or where none is told."""

    cost_after: float | None
    """The same after the deploy."""

    wake: bool
    """Whether it is idle, and would be started."""

    unproven: bool
    """Whether its newest commit is no release."""

    drift: list[str]
    """Settings that were changed on the Hub since the last release."""

    foreign: bool
    """Whether this toolkit did not make the Space, so that ops deploy wants --adopt."""

    suspects: list[Suspect]
    """What looks like a secret in what would be published."""

    create: bool
    """Whether the Space is not there yet."""

    commit: str | None
    """The Space's newest commit."""

    changes: bool
    """Whether there is anything to do."""


class Deployed(_Reply):
    """A proven Space."""

    repo_id: str

    url: str
    """The app's own address."""

    commit: str

    release: str
    """Its tag, such as `release-3`."""

    pushed: bool
    """Whether there was a commit to make."""

    report: SmokeTest | None
    """The proof; null when there was nothing to do."""


class DryRun(_Reply):
    """With --dry-run: what would be done, had anybody said yes; nothing was touched."""

    dry_run: Literal[True]

    plan: Plan
    """As `ops plan` has it."""


class Cloned(_Reply):
    """A git working copy of the Space."""

    repo_id: str
    folder: str

    remote: str
    """What git pulls from and pushes to; there is no token in it."""

    commit: str
    """Its newest commit."""

    tags: list[str]

    pointers: list[str]
    """Large files whose content is missing, because git-lfs is."""

    dry_run: bool
    """Whether nothing was cloned."""


class ReleaseSettings(_Reply):
    """The settings at a release."""

    visibility: Visibility
    hardware: str | None

    sleep_time: int | None
    """Seconds without a request; null or -1 for never."""

    variables: dict[str, str]

    secrets: dict[str, str | None]
    """Names, each with when it was set."""


class Release(_Reply):
    """A proven version of which no record is kept."""

    name: str
    """Its tag."""

    number: int
    commit: str


class ReleaseRecorded(Release):
    """One of which a record is kept."""

    time: datetime

    toolkit: str
    """The version of this toolkit that made it."""

    toolkit_commit: str | None
    """The commit of this toolkit."""

    model: str

    revision: str
    """The model's commit."""

    fingerprint: str
    """Of all that decides a vector: vectors are comparable inside one only."""

    p50_ms: float | None
    """Milliseconds that a short query took then, the median."""

    settings: ReleaseSettings

    restores: int | None
    """The number of the release that this is again."""


class Releases(_Reply):
    """The proven versions of a Space."""

    repo_id: str

    commit: str
    """The Space's newest commit."""

    running_commit: str | None
    """The commit that runs."""

    releases: list[ReleaseRecorded | Release]
    """The newest first."""


class Status(_Reply):
    """A Space at one moment; with --watch an object a line, whenever something has changed.

    Exit code 0 only when it runs and is healthy, else 4, 5, 6 or 8.
    """

    repo_id: str

    url: str
    """The app's own address."""

    private: bool

    stage: str
    """The Hub's name for what it is doing, such as RUNNING."""

    hardware: str | None

    running_commit: str | None
    """The commit that runs."""

    newest_commit: str
    """The commit that is wanted."""

    error_message: str | None
    """What the Hub says is wrong."""

    healthy: bool | None
    """Whether it answers; null when it does not run, so was not asked."""

    latency_ms: float | None
    """Milliseconds of one GET /health; null when nothing answered."""

    answer: str | None
    """What GET /health was answered with, where that was not healthy."""

    sleep_time: int | None
    """Seconds without a request; null or -1 for never."""

    cost_per_hour: float | None
    """Dollars while it runs; null where the Hub tells no price."""

    cost_per_month: float | None
    """Dollars for a month without sleep."""

    running_since: str | None
    """In ISO 8601: the first line of the log of the app that runs; null where there is none."""

    cost_this_month: float | None
    """Dollars since then in this month (UTC), without what ran earlier."""

    release: str | None
    """The last release."""

    release_commit: str | None
    """The commit of that."""

    release_time: str | None
    """In ISO 8601: when it was proven; null where no record of it is kept."""


class LogLine(_Reply):
    """A line of a log; an object a line, with -f until Ctrl-C."""

    time: datetime
    """When the Hub took it down."""

    text: str


class _Changed(_Reply):
    repo_id: str

    stage: str
    """The stage that it was found in."""

    dry_run: bool
    """Whether nothing was touched."""


class _Answering(_Changed):
    url: str
    """The app's own address."""

    commit: str
    """The Space's newest commit."""

    seconds: float | None
    """How long it took to answer; null when that was not waited for."""


class Restarted(_Answering):
    """A Space that was started again."""

    restarted: bool


class Woken(_Answering):
    """A Space that answers."""

    started: bool
    """Whether it was idle, and had to be started."""


class Paused(_Changed):
    """A Space that was stopped."""

    stage_after: str
    """What the Hub answered."""

    paused: bool
    """Whether there was anything to stop."""


class Opened(_Reply):
    """A Space's address."""

    repo_id: str
    url: str

    opened: bool
    """Whether a browser was started."""


class Destroyed(_Changed):
    """What was lost with a Space."""

    url: str
    """The app's own address."""

    files: int
    """How many."""

    variables: list[str]
    """Names."""

    secrets: list[str]
    """Names."""

    releases: list[str]
    """Tags."""

    destroyed: bool


class Setting(_Reply):
    """A setting on the Hub or in space.toml."""

    field: Literal["visibility", "hardware", "sleep time", "variable", "secret"]

    name: str
    """A variable's or a secret's name; empty for the others."""

    value: str | None
    """What the Hub has; null for a secret. Sleep times are seconds."""

    set_at: str | None
    """In ISO 8601: when a secret was set."""

    wanted: str | None
    """What space.toml says; of a secret, where its value comes from."""

    verdict: Literal["agrees", "differs", "not in space.toml", "not on the Hub", "not known"]
    """How the two compare; not known of a secret whose value is not here, or was set elsewhere."""


class NamedSettings(_Reply):
    """The secrets, or the variables, that the Hub has."""

    repo_id: str
    settings: list[Setting]


class Settings(NamedSettings):
    """All settings."""

    stage: str
    """The Hub's name for what the Space is doing."""

    cost_per_hour: float | None
    """Dollars while it runs; null where the Hub tells no price."""

    cost_per_month: float | None
    """Dollars for a month without sleep."""


class SettingsChanged(_Reply):
    """What became of a change."""

    repo_id: str

    url: str
    """The app's own address."""

    changes: list[SettingChange]
    """What was written to the Hub, or would be."""

    unchanged: list[str]
    """What was so already."""

    saved: str | None
    """The space.toml that was written, or would be."""

    seconds: float | None
    """How long it took to answer again; null when that was not waited for."""

    dry_run: bool
    """Whether nothing was touched."""


class ClientListed(_Reply):
    """Without a client: one of those that there are."""

    client: str
    """What to give to `ops connect`."""

    about: str


class Target(_Reply):
    """A server as its clients must know it."""

    url: str
    model: str

    dimensions: int | None
    """Null when it could not be asked and is not known otherwise."""

    private: bool
    """Whether the Hub wants a token."""

    keyed: bool
    """Whether the app wants a key of its own."""

    asked: bool
    """Whether it answered; else this is what space.toml says."""


class Snippet(_Reply):
    """Something to paste."""

    name: str
    """The file's name at the client's."""

    content: str
    """With variables in the place of tokens."""


class Connected(_Reply):
    """What to paste into a client. Exit code 6 when a check failed."""

    client: str
    target: Target
    files: list[Snippet]

    notes: list[str]
    """What to know about it."""


class Tried(Connected):
    """With --check: what came back to the client's own requests as well."""

    checks: list[Check]


REPLIES: dict[str, Any] = {
    "init": InitConfig | InitWorkflow,
    "config show": Config,
    "config validate": Validated,
    "config schema": JsonSchema,
    "render": Rendered | Difference,
    "doctor": Examination,
    "build": Built,
    "smoke-test": SmokeTest,
    "hub serve": HubServed,
    "hub reset": HubReset,
    "hub fault list": list[HubFault],
    "hub fault add": list[HubFault],
    "hub fault clear": list[HubFault],
    "rehearse": SmokeTest,
    "bench": Benched,
    "plan": Plan,
    "deploy": Deployed | DryRun,
    "releases": Releases,
    "rollback": Deployed | DryRun,
    "clone": Cloned,
    "status": Status,
    "logs": LogLine,
    "restart": Restarted,
    "pause": Paused,
    "wake": Woken,
    "open": Opened,
    "destroy": Destroyed,
    "settings show": Settings,
    "settings hardware": SettingsChanged,
    "settings sleep-time": SettingsChanged,
    "settings visibility": SettingsChanged,
    "settings secrets list": NamedSettings,
    "settings secrets set": SettingsChanged,
    "settings secrets unset": SettingsChanged,
    "settings secrets import": SettingsChanged,
    "settings variables list": NamedSettings,
    "settings variables set": SettingsChanged,
    "settings variables unset": SettingsChanged,
    "settings variables import": SettingsChanged,
    "connect": list[ClientListed] | Connected | Tried,
}
"""What each command prints by its full name: one document, or one of several.

`logs` and `status --watch` print any number, each on a line of its own.
"""
