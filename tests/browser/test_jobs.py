"""Starting a job from its form, and stopping it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage, Served

pytestmark = [pytest.mark.browser, pytest.mark.spark]


def test_refused_then_started_then_stopped(demo: Served, open_page: OpenPage) -> None:
    page = open_page(f"{demo.url}/#/jobs")
    page.get_by_role("link", name="Start a job").click()
    page.get_by_role("link", name=re.compile("word_count")).click()
    start = page.get_by_role("button", name="Start", exact=True)
    start.click()
    folder = page.locator("[data-field=folder]")
    expect(folder.get_by_role("alert")).to_contain_text("required")

    page.get_by_label("Folder").fill("/there/is/no/such/folder")
    box = page.get_by_label("Top", exact=True).and_(page.get_by_role("textbox"))
    box.fill("5000")
    start.click()
    expect(page.locator("[data-field=top]").get_by_role("alert")).to_contain_text("1000")
    box.fill("3")
    start.click()
    expect(folder.get_by_role("alert")).to_contain_text("/there/is/no/such/folder")
    expect(page.locator("[data-field=top]").get_by_role("alert")).to_have_count(0)

    page.get_by_label("Folder").fill(str(demo.folder / "demo" / "texts"))
    page.get_by_label("Name of the job").fill("three_words")
    start.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("three_words")
    table = page.locator(".table[data-output=words]")
    expect(table.get_by_role("table")).to_have_attribute("aria-rowcount", "4")

    page.get_by_role("button", name="Stop three_words").click()
    dialog = page.get_by_role("dialog", name="Stop three_words?")
    dialog.get_by_role("button", name="Let it run").click()
    expect(dialog).to_have_count(0)
    expect(page.locator(".job-title [data-state=running]")).to_be_visible()
    page.get_by_role("button", name="Stop three_words").click()
    dialog.get_by_role("button", name="Stop the job").click()
    expect(page.locator(".job-title [data-state=cancelled]")).to_be_visible()
    expect(page.get_by_role("button", name="Stop three_words")).to_have_count(0)
    page.keyboard.press("Escape")
    page.get_by_role("link", name="All jobs", exact=True).click()
    expect(page.get_by_role("list", name="Ended jobs").locator("[data-job=three_words]")).to_be_visible()


def test_a_job_that_is_not_there(demo: Served, open_page: OpenPage) -> None:
    page = open_page(f"{demo.url}/#/jobs/nobody")
    expect(page.get_by_role("heading", level=1)).to_contain_text("nobody")
    page.get_by_role("link", name="See all jobs").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")


def test_progress_and_events_have_sparks_own_account(demo: Served, open_page: OpenPage) -> None:
    page = open_page(f"{demo.url}/#/jobs/host_metrics/progress")
    expect(page.get_by_role("img", name=re.compile("Line chart of Durations.*batch_duration_ms"))).to_be_visible()
    table = page.get_by_role("table", name="Micro-batches, newest first")
    for name in ("batch", "input_rows_per_second", "processed_rows_per_second", "batch_duration_ms"):
        expect(table.get_by_role("columnheader", name=name, exact=True)).to_be_attached()
    page.get_by_role("link", name="events", exact=True).click()
    expect(page.locator(".timeline [data-state=running]").first).to_be_visible()
