"""The page and the API reference, in a real Chromium, served by the real process."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import httpx2
import pytest
from axe_playwright_python.sync_playwright import Axe
from fakes.asgi_server import serving
from playwright.sync_api import expect, sync_playwright
from server_process import free_port, started
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, ConsoleMessage, FrameLocator, Locator, Page, Request

pytestmark = [
    pytest.mark.browser,
    pytest.mark.usefixtures("chromium_path"),  # before anything is made for nothing
]

KEY = "key-of-the-page"
QUERY_INSTRUCTION = "query:"
# What a headless browser of Debian's needs, and nothing that it asks of others by itself.
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
expect.set_options(timeout=20_000)  # a machine that does much else takes its time
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 375, "height": 800}


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Debian's Chromium, else a skip (a failure in CI)."""
    if (path := shutil.which("chromium")) is None:
        _without_browser("there is no chromium on PATH (tests/install_chromium.sh installs it)")
    return path


@pytest.fixture(scope="module")
def chromium(chromium_path: str) -> Iterator[Browser]:
    """A browser; its event loop must be gone again before other modules' tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


def _without_browser(why: str) -> NoReturn:
    if os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail(f"REQUIRE_BROWSER=1, but: {why}", pytrace=False)
    pytest.skip(why)


@pytest.fixture(scope="module")
def server(artefact: Path) -> Iterator[str]:
    """The origin of a server without keys, whose limits are low."""
    with started(artefact, EMBED_MAX_INPUTS="20", EMBED_MAX_PAYLOAD_MB="1") as process:
        process.wait_until_healthy()
        yield process.url


@pytest.fixture(scope="module")
def keyed(artefact: Path) -> Iterator[str]:
    """The origin of a server that KEY opens."""
    with started(artefact, EMBED_API_KEYS=f"page={KEY}") as process:
        process.wait_until_healthy()
        yield process.url


@dataclass
class Visit:
    """A tab, what it asked for, and what it complained of."""

    page: Page
    requests: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """Begin to keep both."""
        self.page.on("request", self._asked)
        self.page.on("console", self._told)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _asked(self, request: Request) -> None:
        self.requests.append(request)

    def _told(self, message: ConsoleMessage) -> None:
        self.complaints.append(message.text)

    def forgive(self, pattern: str) -> None:
        """These complaints are what the test is about."""
        assert any(re.search(pattern, told) for told in self.complaints), self.complaints
        self.complaints = [told for told in self.complaints if not re.search(pattern, told)]

    def outside(self) -> list[str]:
        """Addresses asked for that are not on this machine."""
        urls = [request.url for request in self.requests]
        return [url for url in urls if not url.startswith(("http://127.0.0.1:", "data:"))]


@pytest.fixture
def visit(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A fresh tab; it must have asked nobody else, and have complained of nothing, when it closes.

    A parameter holds options of the browser's context, such as its colour scheme.
    """
    options: dict[str, Any] = {"viewport": WIDE, "permissions": ["clipboard-read"]}
    context = chromium.new_context(**options | getattr(request, "param", {}))
    context.route(lambda url: not url.startswith("http://127.0.0.1:"), lambda route: route.abort())
    visit = Visit(context.new_page())
    visit.listen()
    yield visit
    context.close()
    assert visit.outside() == []
    assert visit.complaints == []


def compare(place: Page | FrameLocator, *lines: str) -> Locator:
    """Type texts and compare them; the card with what comes of it."""
    place.get_by_label("Texts, one to a line").fill("\n".join(lines))
    place.get_by_role("button", name="Compare").click()
    return place.get_by_role("region", name="Similarities")


def search(page: Page, question: str, *passages: str) -> list[str]:
    """Type a question and passages and search; the ranking's texts."""
    page.get_by_label("Question").fill(question)
    page.get_by_label("Passages, one to a line").fill("\n".join(passages))
    page.get_by_role("button", name="Search").click()
    ranking = page.get_by_role("region", name="Ranking").get_by_role("listitem")
    expect(ranking).to_have_count(len(passages))  # the example has five
    return ranking.all_inner_texts()


def test_compare_shows_each_pairs_similarity(server: str, visit: Visit) -> None:
    """The matrix holds the cosines of the server's vectors, and the most alike pair is named."""
    lines = ("A cat sleeps on the sofa.", "The kitten naps on the couch.", "Interest rates fell.")
    visit.page.goto(server)
    card = compare(visit.page, *lines)
    heads = card.get_by_role("grid").get_by_role("rowheader")
    expect(heads).to_have_text([f"{number}{line}" for number, line in enumerate(lines, 1)])

    cells = card.get_by_role("gridcell").all_inner_texts()
    shown = [float(cell.replace("\N{MINUS SIGN}", "-")) for cell in cells]
    vectors = embeddings(server, *lines)["data"]
    cosines = [
        sum(x * y for x, y in zip(a["embedding"], b["embedding"], strict=True))
        for a in vectors
        for b in vectors
    ]
    assert shown == pytest.approx(cosines, abs=0.02)
    expect(card).to_contain_text(f"Most alike: 1 and 2, {cells[1]}")


def test_the_pair_under_the_pointer_is_shown(server: str, visit: Visit) -> None:
    """Pointing at a cell shows both whole texts and their similarity."""
    visit.page.goto(server)
    card = compare(visit.page, "one apple", "two pears", "three plums")
    expect(card.get_by_role("gridcell")).to_have_count(9)

    cell = card.get_by_role("gridcell").nth(5)
    cell.hover()
    expect(card.locator(".pair")).to_have_text(f"{cell.inner_text()}2 two pears3 three plums")


def test_search_puts_the_answer_first(server: str, visit: Visit) -> None:
    """The passage that answers is first; the question went as a query, passages as documents."""
    visit.page.goto(server)
    first, *_ = search(
        visit.page,
        "How can I change my password?",
        "The train to Lyon leaves at noon.",
        "To choose a new password, open the account page.",
        "Bananas are rich in potassium.",
    )
    assert "To choose a new password" in first
    sent = [request.post_data_json for request in visit.requests if request.method == "POST"]
    roles = {body["input"][0]: body["input_type"] for body in sent}
    assert roles["How can I change my password?"] == "query"
    assert roles["The train to Lyon leaves at noon."] == "document"


def test_times_and_tokens_are_told(server: str, visit: Visit) -> None:
    """Below a result stand the tokens that were read and where the time went."""
    lines = ("Green tea, please.", "An espresso.")
    visit.page.goto(server)
    table = compare(visit.page, *lines).get_by_role("table")
    expect(table.get_by_role("rowheader")).to_have_text("2 texts")
    expect(table.get_by_role("columnheader")).to_have_text(
        ["Request", "Round trip", "Tokenise", "Queue", "Compute", "Tokens"]
    )
    *times, tokens = table.get_by_role("cell").all_inner_texts()
    assert all(re.fullmatch(r"[\d.]+ ms", time) for time in times)
    assert int(tokens) == embeddings(server, *lines)["usage"]["prompt_tokens"]


def test_a_text_that_was_cut_is_marked(server: str, visit: Visit) -> None:
    """Only the text that is longer than the model reads is marked, in words."""
    visit.page.goto(server)
    card = compare(visit.page, "short", "long " * 600)
    heads = card.get_by_role("grid").get_by_role("rowheader")
    expect(heads).to_have_count(2)
    expect(heads.nth(1)).to_contain_text("cut")
    expect(heads.nth(0)).not_to_contain_text("cut")


def test_what_is_pasted_stays_text(server: str, visit: Visit) -> None:
    """Markup in a line is shown as it was pasted, in every place where it is shown."""
    line = '<img src="http://127.0.0.1:1/x" onerror="document.title=1"> & <b>more</b>'
    visit.page.goto(server)
    card = compare(visit.page, line, "another")
    expect(card.get_by_role("grid").get_by_role("rowheader").first).to_contain_text(line)
    assert line in search(visit.page, line, line)[0]
    assert visit.page.locator("main img").count() == 0


def test_it_says_what_is_served(server: str, visit: Visit) -> None:
    """Model, precision, measured quality and fingerprint are those of /info."""
    info = httpx2.get(f"{server}/info", trust_env=False).json()
    visit.page.goto(server)
    about = visit.page.get_by_role("region", name="About")
    for value in (
        info["model"],
        info["precision"],
        info["fingerprint"],
        f"{info['dimensions']} numbers",
        f"{info['max_length']} tokens",
        f"{info['quality']['cosine_mean']:.4f} on average",
        f"{info['quality']['cosine_min']:.4f} at worst",
        f"{info['quality']['rank']:.4f}",
        QUERY_INSTRUCTION,
    ):
        expect(about).to_contain_text(value)
    expect(visit.page.get_by_text("Ready", exact=True)).to_be_visible()


def test_it_is_one_small_file(server: str, visit: Visit) -> None:
    """A visit loads one resource of at most 60 kB; all else are questions to the server."""
    visit.page.goto(server, wait_until="networkidle")
    loaded = [r for r in visit.requests if r.resource_type != "fetch" and r.url[:5] != "data:"]
    assert [request.url for request in loaded] == [f"{server}/"]
    assert loaded[0].sizes()["responseBodySize"] <= 60_000


# --- keys ---------------------------------------------------------------------------------------


def test_a_wrong_key_is_said_and_the_right_one_opens(keyed: str, visit: Visit) -> None:
    """The key field says what is wrong and keeps the focus; with the right key results come."""
    page = visit.page
    page.goto(keyed)
    field = page.get_by_label("API key")
    field.fill(KEY[:-1])
    field.press("Enter")
    expect(page.get_by_text("This key does not open the server.")).to_be_visible()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    visit.forgive("status of 401")

    field.fill(KEY)
    field.press("Enter")
    expect(page.get_by_text("The key works.")).to_be_visible()
    expect(field).to_have_attribute("aria-invalid", "false")
    expect(compare(page, "a", "b").get_by_role("gridcell")).to_have_count(4)


def test_without_a_key_the_field_is_pointed_to(keyed: str, visit: Visit) -> None:
    """Comparing without a key says that one is needed, and puts the cursor where it goes."""
    visit.page.goto(keyed)
    card = compare(visit.page, "a", "b")
    expect(card.get_by_role("alert")).to_contain_text("A key is needed.")
    expect(visit.page.get_by_label("API key")).to_be_focused()
    visit.forgive("status of 401")


def test_the_key_is_kept_for_the_tab_and_nowhere_else(keyed: str, visit: Visit) -> None:
    """It survives a reload, and is in no address, cookie, lasting storage or snippet."""
    page = visit.page
    page.goto(keyed)
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Use it").click()
    expect(page.get_by_text("The key works.")).to_be_visible()

    page.reload()
    expect(page.get_by_role("gridcell").first).to_be_visible()
    assert not any(KEY in request.url for request in visit.requests)
    assert page.evaluate("document.cookie + JSON.stringify(localStorage)") == "{}"
    assert KEY not in page.inner_text("body")
    other = page.context.new_page()
    other.goto(keyed)
    expect(other.get_by_label("API key")).to_have_value("")


@pytest.mark.parametrize("key", ["two words", "schlüssel", "“quoted”"])
def test_what_cannot_be_a_key_is_said(keyed: str, visit: Visit, key: str) -> None:
    """A key that no header can carry is refused here, in words."""
    visit.page.goto(keyed)
    visit.page.get_by_label("API key").fill(key)
    visit.page.get_by_role("button", name="Use it").click()
    expect(visit.page.get_by_text("That is no key")).to_be_visible()


# --- errors -------------------------------------------------------------------------------------


def test_a_server_that_is_gone_and_back(artefact: Path, visit: Visit) -> None:
    """It is said in words that nobody answers; once somebody does, trying again is enough."""
    port = str(free_port())
    with ExitStack() as first:
        process = first.enter_context(started(artefact, PORT=port))
        process.wait_until_healthy()
        visit.page.goto(process.url)
        expect(visit.page.get_by_role("gridcell").first).to_be_visible()
    card = compare(visit.page, "a", "b")
    expect(card.get_by_role("alert")).to_contain_text("The server does not answer.")
    expect(visit.page.get_by_text("No answer", exact=True)).to_be_visible()
    visit.forgive("ERR_CONNECTION_REFUSED")

    with started(artefact, PORT=port) as process:
        process.wait_until_healthy()
        card.get_by_role("button", name="Try again").click()
        expect(card.get_by_role("gridcell")).to_have_count(4)


def test_too_many_and_too_large(server: str, visit: Visit) -> None:
    """What the server refuses is told with the server's reason, and the form still works."""
    visit.page.goto(server)
    card = compare(visit.page, *(f"line {n}" for n in range(24)))
    expect(card.get_by_role("alert")).to_contain_text("20")
    visit.forgive("status of 422")
    compare(visit.page, "x" * 1_100_000, "y")
    expect(card.get_by_role("alert")).to_contain_text("1 MB")
    visit.forgive("status of 413")
    compare(visit.page, "a", "b")
    expect(card.get_by_role("gridcell")).to_have_count(4)


def test_nothing_to_compare(server: str, visit: Visit) -> None:
    """Blank lines alone are told about, and are not sent."""
    visit.page.goto(server)
    expect(visit.page.get_by_role("gridcell").first).to_be_visible()
    before = len(visit.requests)
    expect(compare(visit.page, " ", " ").get_by_role("alert")).to_contain_text("nothing to read")
    assert len(visit.requests) == before


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (429, "The server is busy."),
        (500, "The server answers with status 500."),
        (503, "The server is stopping or starting."),
    ],
)
def test_failures_that_pass(server: str, visit: Visit, status: int, told: str) -> None:
    """Each is told as what it is, and can be tried again, at once where no wait is asked for."""
    error = {"message": "m", "type": "t", "param": None, "code": "c"}
    visit.page.route("**/v1/embeddings", lambda r: r.fulfill(status=status, json={"error": error}))
    visit.page.goto(server)
    alert = visit.page.get_by_role("region", name="Similarities").get_by_role("alert")
    expect(alert).to_contain_text(told)
    visit.page.unroute("**/v1/embeddings")
    alert.get_by_role("button", name="Try again").click()
    expect(visit.page.get_by_role("gridcell").first).to_be_visible()
    visit.forgive(f"status of {status}")


def test_retry_after_counts_down(server: str, visit: Visit) -> None:
    """With Retry-After, the button waits as long as the server asks, and the seconds are shown."""
    error = {"message": "m", "type": "t", "param": None, "code": "c"}
    visit.page.clock.install()
    visit.page.route(
        "**/v1/embeddings",
        lambda r: r.fulfill(status=429, headers={"Retry-After": "7"}, json={"error": error}),
    )
    visit.page.goto(server)
    alert = visit.page.get_by_role("region", name="Similarities").get_by_role("alert")
    again = alert.get_by_role("button", name="Try again")
    expect(alert).to_contain_text("Try again in 7 s.")
    expect(again).to_be_disabled()
    visit.page.clock.run_for(4000)
    expect(alert).to_contain_text("Try again in 3 s.")
    visit.page.clock.run_for(4000)
    expect(again).to_be_enabled()
    visit.forgive("status of 429")


def test_an_answer_of_the_hubs_proxy(server: str, visit: Visit) -> None:
    """What is not from the server is not blamed on it."""
    visit.page.route("**/v1/embeddings", lambda r: r.fulfill(status=404, body="<html>Sorry</html>"))
    visit.page.goto(server)
    alert = visit.page.get_by_role("region", name="Similarities").get_by_role("alert")
    expect(alert).to_contain_text("Something in front of the server answers, with status 404.")
    visit.forgive("status of 404")


# --- in the Space, by keyboard, for everybody ---------------------------------------------------


def test_it_works_in_a_frame_of_another_origin(server: str, visit: Visit) -> None:
    """As the Hub shows a Space: framed by somebody else's page, with its token and theme."""

    async def hub(_: object) -> HTMLResponse:
        source = f"{server}/?__sign=signed&amp;__theme=dark"
        return HTMLResponse(f'<title>Hub</title><iframe src="{source}" width=900 height=900>')

    with serving(Starlette(routes=[Route("/", hub)])) as outer:
        visit.page.goto(outer)
        frame = visit.page.frame_locator("iframe")
        expect(compare(frame, "a", "b").get_by_role("gridcell")).to_have_count(4)
        expect(frame.locator("html")).to_have_attribute("data-theme", "dark")
        expect(frame.locator("#snippet")).not_to_contain_text("signed")
    posts = [request.url for request in visit.requests if request.method == "POST"]
    assert set(posts) == {f"{server}/v1/embeddings?__sign=signed"}
    visit.complaints = [told for told in visit.complaints if "favicon" not in told]


def test_by_keyboard_alone(server: str, visit: Visit) -> None:
    """Skip to the forms, compare, walk the matrix, and choose a client, without a pointer."""
    page, press = visit.page, visit.page.keyboard.press
    page.goto(server)
    expect(page.get_by_role("gridcell").first).to_be_visible()
    press("Tab")
    expect(page.get_by_role("link", name="Skip to the forms")).to_be_focused()
    press("Enter")
    press("Tab")
    expect(page.get_by_label("Texts, one to a line")).to_be_focused()
    press("Control+A")
    page.keyboard.type("one\ntwo\nthree")
    press("Tab")
    press("Enter")
    cells = page.get_by_role("gridcell")
    expect(cells).to_have_count(9)
    press("Tab")
    focused = page.locator("td:focus")
    expect(focused).to_have_count(1)
    row = int(focused.get_attribute("data-at")[0])
    for key, at in (
        ("Home", f"{row} 0"),
        ("End", f"{row} 2"),
        ("ArrowLeft", f"{row} 1"),
        *(("ArrowUp", f"{up} 1") for up in reversed(range(row))),
        ("ArrowUp", "0 1"),  # at the edge it stays
        ("ArrowDown", "1 1"),
        ("ArrowRight", "1 2"),
    ):
        press(key)
        expect(focused).to_have_attribute("data-at", at)
    expect(page.locator(".pair")).to_contain_text("2 two3 three")

    tabs = page.get_by_role("tab")
    for _ in range(20):
        press("Tab")
        if tabs.first.evaluate("tab => tab === document.activeElement"):
            break
    press("ArrowRight")
    expect(tabs.nth(1)).to_be_focused()
    expect(tabs.nth(1)).to_have_attribute("aria-selected", "true")
    expect(page.locator("#snippet")).to_contain_text("import requests")


APPEARANCES = [
    {"color_scheme": scheme, "viewport": size}
    for scheme in ("light", "dark")
    for size in (WIDE, NARROW)
]


@pytest.mark.parametrize("visit", APPEARANCES, indirect=True)
@pytest.mark.parametrize("which", ["server", "keyed"])
def test_everybody_can_use_it(
    which: str, visit: Visit, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """In each appearance axe finds nothing wrong, nothing sticks out, and a picture is kept."""
    page = visit.page
    page.goto(request.getfixturevalue(which))
    if which == "server":
        search(page, "q", "p", "long " * 600)
        compare(page, "a", "b", "long " * 600)
        expect(page.get_by_role("gridcell")).to_have_count(9)
    else:
        compare(page, "a", "b")
        expect(page.get_by_role("alert")).to_be_visible()
        visit.forgive("status of 401")
    page.get_by_label("private", exact=True).check()
    page.screenshot(path=tmp_path / f"{which}.png", full_page=True)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# --- snippets and the API reference -------------------------------------------------------------


def snippets(page: Page) -> dict[str, str]:
    """What each client's tab offers to paste."""
    found = {}
    for tab in page.get_by_role("tab").all():
        tab.click()
        found[tab.inner_text()] = page.locator("#snippet").inner_text()
    return found


@pytest.mark.parametrize("name", ["curl", "Python", "OpenAI (Python)"])
@pytest.mark.parametrize("which", ["server", "keyed"])
def test_what_is_copied_runs(
    name: str, which: str, visit: Visit, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The copy button copies a program that, run as it is, gets vectors from this server."""
    page = visit.page
    page.goto(request.getfixturevalue(which))
    page.get_by_role("tab", name=name, exact=True).click()
    panel = page.get_by_role("tabpanel")
    panel.get_by_role("button", name="Copy").click()
    expect(panel.get_by_role("button", name="Copied")).to_be_visible()
    program = tmp_path / "program"
    program.write_text(page.evaluate("navigator.clipboard.readText()"))
    done = subprocess.run(
        ["sh" if name == "curl" else sys.executable, str(program)],
        env=os.environ | {"EMBED_API_KEY": KEY, "no_proxy": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '"embedding":[' in done.stdout if name == "curl" else "384" in done.stdout


@pytest.mark.parametrize("access", ["public or protected, or no Space", "private"])
@pytest.mark.parametrize("which", ["server", "keyed"])
def test_each_clients_snippet_names_this_server_and_its_tokens(
    access: str, which: str, visit: Visit, request: pytest.FixtureRequest
) -> None:
    """Each holds this server's address and the variables of the tokens that are needed."""
    origin = request.getfixturevalue(which)
    visit.page.goto(origin)
    visit.page.get_by_label(access).check()
    found = snippets(visit.page)
    assert len(found) == 10
    for name, text in found.items():
        assert f"{origin}/v1" in text, name
        # Open WebUI sends one token; with both needed it says so instead.
        assert ("HF_TOKEN" in text) == (access == "private"), name
        if name != "Open WebUI":
            assert ("EMBED_API_KEY" in text) == (which == "keyed"), name
        if name not in {"curl", "OpenAI (JavaScript)", "n8n", "Open WebUI"}:
            compile(text, name, "exec")


@pytest.mark.parametrize("visit", APPEARANCES[::2], indirect=True)
def test_the_api_reference_asks_nobody_else(server: str, visit: Visit) -> None:
    """/docs shows every route of /openapi.json and loads everything from this server."""
    paths = httpx2.get(f"{server}/openapi.json", trust_env=False).json()["paths"]
    visit.page.goto(f"{server}/docs")
    for path in paths:
        expect(visit.page.locator(f'[data-path="{path}"]').first).to_be_visible()
    visit.page.get_by_role("link", name="Back to the page").click()
    expect(visit.page.get_by_role("heading", name="Compare")).to_be_visible()


def test_a_request_can_be_tried_in_the_api_reference(server: str, visit: Visit) -> None:
    """Its policy lets it ask this server."""
    visit.page.goto(f"{server}/docs")
    visit.page.locator('[data-path="/health"]').first.click()
    visit.page.get_by_role("button", name="Execute").click()
    expect(visit.page.locator(".live-responses-table")).to_contain_text("healthy")


def embeddings(server: str, *texts: str) -> dict[str, Any]:
    """The server's own answer."""
    reply = httpx2.post(f"{server}/v1/embeddings", json={"input": texts}, trust_env=False)
    body: dict[str, Any] = reply.json()
    return body
