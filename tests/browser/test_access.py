"""For everybody: axe finds nothing on any view in either scheme, a phone shows it all, and a keyboard is enough."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import AXE, OpenPage, Served

pytestmark = [pytest.mark.browser, pytest.mark.spark]

#: Each view, and what is there when it has its content.
VIEWS = {
    "jobs": ("#/jobs", "[data-job=host_metrics] .sparkline"),
    "data": ("#/jobs/host_metrics", ".plot[data-until]"),
    "progress": ("#/jobs/host_metrics/progress", ".plot[data-until]"),
    "logs": ("#/jobs/host_metrics/logs", ".time-bar"),
    "events": ("#/jobs/host_metrics/events", ".timeline .event"),
    "compare": ("#/compare/host_metrics", ".compare-form footer"),
    "run": ("#/run/word_count", "[data-field=folder]"),
    "missing": ("#/jobs/nobody", ".empty"),
}


def violations(page: Page) -> list[tuple[str, list[Any]]]:
    """What axe has to say against the page."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    return [(each["id"], [node["target"] for node in each["nodes"]]) for each in found["violations"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing(demo: Served, open_page: OpenPage, view: str, scheme: str) -> None:
    path, content = VIEWS[view]
    page = open_page(f"{demo.url}/{path}", scheme=scheme)
    page.locator(content).first.wait_for()
    assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_what_opens(demo: Served, open_page: OpenPage, scheme: str) -> None:
    page = open_page(f"{demo.url}/#/jobs/host_metrics", scheme=scheme)
    page.locator(".plot[data-until]").first.wait_for()
    page.get_by_role("button", name="Show metrics, value", exact=False).first.click()
    page.locator(".status-bar").click()
    page.get_by_role("button", name="Freeze").click()
    expect(page.locator(".behind")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Help and keys").click()
    expect(page.get_by_role("dialog", name="Help")).to_be_visible()
    assert violations(page) == []


@pytest.mark.parametrize("view", VIEWS)
def test_a_phone_needs_no_sideways_scrolling(demo: Served, open_page: OpenPage, view: str) -> None:
    path, content = VIEWS[view]
    page = open_page(f"{demo.url}/{path}", width=390, height=844)
    page.locator(content).first.wait_for()
    assert page.evaluate("() => document.documentElement.scrollWidth") == 390
    assert violations(page) == []


def test_a_keyboard_is_enough(demo: Served, open_page: OpenPage) -> None:
    page = open_page(f"{demo.url}/#/run")
    page.get_by_role("heading", level=1).wait_for()
    page.keyboard.press("g")
    page.keyboard.press("j")
    expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)

    page.get_by_role("link", name="host_metrics").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    slider = page.get_by_role("slider", name="Threshold")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    state = page.locator("[data-field=threshold] .note .state")
    expect(state).to_have_attribute("data-state", "applied")
    revision = state.get_attribute("data-revision")
    page.locator(f".change[data-revision='{revision}']").focus()
    card = page.locator(f".chart .mark[data-revision='{revision}'] .mark-card").first
    expect(card).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("applied in batch")


def test_the_first_tab_stop_leads_past_the_header(demo: Served, open_page: OpenPage) -> None:
    page = open_page(f"{demo.url}/#/jobs")
    page.get_by_role("heading", level=1).wait_for()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()


def test_the_colours_can_be_switched_and_stay(demo: Served, open_page: OpenPage) -> None:
    page = open_page(f"{demo.url}/#/jobs")
    page.get_by_role("button", name="Colours: auto; switch").click()
    page.get_by_role("button", name="Colours: light; switch").click()
    expect(page.locator("html")).to_have_attribute("data-scheme", "dark")
    page.reload()
    expect(page.get_by_role("button", name="Colours: dark; switch")).to_be_visible()
    assert page.evaluate("() => getComputedStyle(document.documentElement).colorScheme") == "dark"
