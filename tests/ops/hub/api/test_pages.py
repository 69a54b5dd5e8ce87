from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import httpx2
import loopback
import pytest
from axe_playwright_python.sync_playwright import Axe
from fakes.runner import FakeRunner
from hub_world import OTHER, READ, SPACE, WRITE, hub_world
from playwright.sync_api import expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hub_world import World
    from playwright.sync_api import Browser, Page

CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
HOSTILE = "<img src=x onerror=alert(1)>"
expect.set_options(timeout=20_000)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A Hub with a private Space that runs, and a public one without an app."""
    with hub_world(tmp_path_factory.mktemp("hub"), FakeRunner()) as world:
        world.create(
            space_secrets=[{"key": "MY_SECRET", "value": "value-1"}],
            space_variables=[{"key": "MY_VARIABLE", "value": "value-2"}],
        )
        world.push({})
        world.api.create_repo("me/empty", repo_type="space", space_sdk="docker")
        world.wait_for_stage("RUNNING")
        world.wait(lambda _: world.api.get_space_runtime("me/empty").stage == "NO_APP_FILE")
        yield world


def get(world: World, path: str, **headers: str) -> httpx2.Response:
    """What the Hub answers."""
    return loopback.get(world.hub.endpoint + path, headers=headers)


def test_strangers_see_names_and_stages_of_what_is_public(world: World) -> None:
    """Nothing private is named to them, and nothing public told beyond its stage."""
    for path in ("/", "/_local/list"):
        page = get(world, path)
        assert page.status_code == 200
        assert "me/empty" in page.text
        assert "NO_APP_FILE" in page.text
        assert not re.search(r"me/app|cpu-basic|127\.0\.0\.1", page.text)
    assert get(world, f"/spaces/{SPACE}").status_code == 404
    assert "cpu-basic" not in get(world, "/spaces/me/empty").text


@pytest.mark.parametrize("path", ["logs/run", "logs/build", "runtime"])
def test_what_the_page_asks_is_not_for_strangers(world: World, path: str) -> None:
    """Without the page's cookie neither logs nor the runtime of any Space are there."""
    for space in (SPACE, "me/empty"):
        for headers in ({}, {"Authorization": f"Bearer {OTHER}"}):
            assert get(world, f"/_local/spaces/{space}/{path}", **headers).status_code == 404


def test_a_link_opens_once(world: World) -> None:
    """It gives a cookie that no script and no other site gets, and shows what its owner may see."""
    link = world.hub.page_link()
    with httpx2.Client() as browser:
        let_in = browser.get(link)
        cookie = let_in.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        page = browser.get(world.hub.endpoint, follow_redirects=True)
        assert SPACE in page.text
        assert "cpu-basic" in page.text
        details = browser.get(f"{world.hub.endpoint}/spaces/{SPACE}").text
        assert "MY_SECRET" in details
        assert "MY_VARIABLE" in details
        assert not re.search("value-[12]", details)
    assert loopback.get(link).status_code == 403
    assert loopback.get(link + "x").status_code == 403


def test_the_cookie_opens_the_pages_and_nothing_else(world: World) -> None:
    """The API takes tokens alone, so that no page in the same browser can use it."""
    with httpx2.Client() as browser:
        browser.get(world.hub.page_link())
        for method, path in (
            ("GET", f"/api/spaces/{SPACE}"),
            ("POST", f"/api/spaces/{SPACE}/pause"),
            ("GET", f"/api/spaces/{SPACE}/secrets"),
            ("POST", "/_local/open"),
            ("POST", "/_local/faults"),
        ):
            assert browser.request(method, world.hub.endpoint + path).status_code in (401, 404)
        assert browser.get(world.url()).status_code == 404


def test_another_link_needs_a_token_that_writes(world: World) -> None:
    """Who has one gets a link for what they may see; others get none."""

    def asked(token: str | None) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return loopback.post(f"{world.hub.endpoint}/_local/open", headers=headers)

    assert asked(None).status_code == 401
    assert asked(READ).status_code == 403
    with httpx2.Client(follow_redirects=True) as browser:
        assert SPACE in browser.get(asked(WRITE).json()["url"]).text
    with httpx2.Client(follow_redirects=True) as browser:
        page = browser.get(asked(OTHER).json()["url"]).text
        assert "me/empty" in page
        assert SPACE not in page


def test_it_may_load_nothing(world: World) -> None:
    """A policy holds the page to what is in it, and to asking this Hub."""
    policy = get(world, "/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert not re.search(r"unsafe|https?:|\*", policy)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, else a skip (a failure in CI)."""
    if (path := shutil.which("chromium")) is None:
        _without_browser("there is no chromium on PATH (tests/install_chromium.sh installs it)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


def _without_browser(why: str) -> NoReturn:
    if os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail(f"REQUIRE_BROWSER=1, but: {why}", pytrace=False)
    pytest.skip(why)


@contextmanager
def visit(chromium: Browser, world: World, **options: Any) -> Iterator[Page]:
    """A tab that was let in; it must have complained of nothing, and asked nobody else."""
    context = chromium.new_context(**options)
    page, complaints, asked = context.new_page(), [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(world.hub.page_link())
    yield page
    context.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith((world.hub.endpoint, "data:"))] == []


@pytest.mark.browser
def test_logs_and_stage_follow(chromium: Browser, world: World) -> None:
    """Without a reload the page shows new lines of the logs, as text, and each stage."""
    with visit(chromium, world) as page:
        page.get_by_role("link", name=SPACE).click()
        expect(page.get_by_role("status")).to_have_text("RUNNING")
        expect(page.get_by_label("Run log")).to_contain_text("Listening on 7860")
        page.get_by_text("Build log").click()
        expect(page.get_by_label("Build log")).to_contain_text("Building")
        space = world.hub._state.space(world.hub._state.store.find("spaces", "me", "app"))
        space.run_log.write(HOSTILE)
        expect(page.get_by_label("Run log")).to_contain_text(HOSTILE)
        world.api.pause_space(SPACE)
        expect(page.get_by_role("status")).to_have_text("PAUSED")
        expect(page.locator("#commit")).to_have_text("none runs")
        world.api.restart_space(SPACE)
        expect(page.get_by_role("status")).to_have_text("RUNNING")
        page.get_by_role("link", name="All Spaces").click()
        expect(page.get_by_role("region", name=SPACE)).to_contain_text("RUNNING")
        world.api.pause_space(SPACE)
        expect(page.get_by_role("region", name=SPACE)).to_contain_text("PAUSED")
        world.api.restart_space(SPACE)
        world.wait_for_stage("RUNNING")


@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 375)])
def test_everybody_can_use_it(
    chromium: Browser, world: World, scheme: str, width: int, tmp_path: Path
) -> None:
    """Axe finds nothing wrong, nothing sticks out, and a picture is kept, however it is shown."""
    size = {"width": width, "height": 800}
    with visit(chromium, world, color_scheme=scheme, viewport=size, bypass_csp=True) as page:
        for name, path in (("list", "/"), ("space", f"/spaces/{SPACE}")):
            page.goto(world.hub.endpoint + path)
            if name == "space":
                expect(page.get_by_label("Run log")).to_contain_text("Listening")
            page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
            found = Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
