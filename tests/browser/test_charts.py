"""What the charts do besides drawing lines: gaps, zooming, lines switched off, figures, and colours."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, Served
from tests.browser.wires import LossyWire

pytestmark = [pytest.mark.browser, pytest.mark.spark]


def test_a_gap_is_drawn_listed_and_counted(demo: Served, open_page: OpenPage) -> None:
    page = open_page("about:blank")
    page.route_web_socket(re.compile("/ws$"), LossyWire("/metrics").attach)
    page.goto(f"{demo.url}/#/jobs/host_metrics")
    expect(page.locator("[data-output=metrics] .gap-list")).to_contain_text("3 publications are missing between")
    expect(page.locator("[data-output=metrics] .gap-list")).to_contain_text("retention")
    expect(page.locator("[data-output=metrics] .plot").first).to_have_attribute("data-gaps", "1")
    expect(page.locator("[data-gaps='1']", has_text="Gaps")).to_contain_text("3 missing")
    expect(page.locator(".status-bar .bad")).to_have_count(0)


def zoom(page: Page) -> None:
    box = page.locator(".plot .u-over").first.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.3, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, middle, steps=4)
    page.mouse.up()


def test_dragging_looks_closer_and_following_goes_on(job_page: Page) -> None:
    follow = job_page.get_by_role("button", name="Follow the newest")
    zoom(job_page)
    expect(follow).to_be_visible()
    job_page.keyboard.press("f")
    expect(follow).to_have_count(0)
    zoom(job_page)
    expect(follow).to_be_visible()
    follow.click()
    expect(follow).to_have_count(0)


def test_lines_and_charts_can_be_switched_off(job_page: Page) -> None:
    key = job_page.get_by_role("group", name="Lines shown").first.get_by_role("button", name="memory")
    key.click()
    expect(key).to_have_attribute("aria-pressed", "false")
    columns = job_page.get_by_role("group", name="Columns with a chart").first
    charts = job_page.locator("[data-output=metrics] .chart[data-column=samples]")
    expect(charts).to_have_count(1)
    columns.get_by_role("button", name="samples").click()
    expect(charts).to_have_count(0)


def test_a_chart_is_also_there_in_figures(job_page: Page) -> None:
    job_page.get_by_role("button", name="Show metrics, value in % as a table").click()
    row = job_page.get_by_role("region", name="Figures of value").get_by_role("row", name=re.compile("memory"))
    expect(row).to_contain_text("%")


def test_a_table_is_sorted_by_a_column(job_page: Page) -> None:
    table = job_page.locator(".table[data-output=metrics]")
    header = table.get_by_role("columnheader", name="metric", exact=True)
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "descending")
    expect(table.get_by_role("row").nth(1)).to_contain_text("swap")
