"""From Spark to the screen: data, steering, the applied mark, pausing, and a gateway that goes away."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, WebSocket, expect

from tests.browser.conftest import OpenPage, Served

pytestmark = [pytest.mark.browser, pytest.mark.spark]


def state_of(page: Page, name: str) -> Locator:
    """What the panel says of a parameter's last change."""
    return page.locator(f"[data-field={name}] .note [data-state]")


def test_the_first_publication_is_shown(demo: Served, open_page: OpenPage) -> None:
    page = open_page(demo.url)
    expect(page.locator("[data-link=live]")).to_have_text(re.compile("Live"))
    job = page.locator("[data-job=host_metrics]")
    expect(job.locator("[data-state=running]")).to_be_visible()
    job.get_by_role("link", name="host_metrics").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("host_metrics")
    expect(
        page.get_by_role("img", name=re.compile(r"Line chart of metrics, value.*Last values: .*\d")).first
    ).to_be_visible()
    rows = page.locator(".table[data-output=metrics]").get_by_role("row")
    expect(rows.filter(has_text="memory")).to_contain_text("%")
    expect(page.locator("[data-round-trip]")).to_have_text(re.compile(r"Round trip\s*(<1|\d+) ms"))


def applied_frame(text: str | bytes) -> dict[str, Any] | None:
    frame: dict[str, Any] = json.loads(text)
    return frame if frame["type"] == "parameters" and frame["state"] == "applied" else None


def connected(page: Page, url: str) -> WebSocket:
    """Open the page, and return its socket."""
    with page.expect_websocket() as opened:
        page.goto(url)
    page.locator(".plot[data-until]").first.wait_for()
    return opened.value


def test_a_slider_leaves_its_mark_on_every_chart(demo: Served, open_page: OpenPage) -> None:
    page = open_page("about:blank")
    socket = connected(page, f"{demo.url}/#/jobs/host_metrics")
    publications: list[dict[str, Any]] = []
    socket.on("framereceived", lambda text: publications.append(json.loads(text)))
    slider = page.get_by_role("slider", name="Threshold")
    before = slider.input_value()
    slider.focus()
    with socket.expect_event("framereceived", lambda text: applied_frame(text) is not None) as told:
        for _ in range(5):
            page.keyboard.press("ArrowRight")
    applied = applied_frame(told.value)
    assert applied is not None
    revision, batch = applied["revision"], applied["batch"]

    expect(state_of(page, "threshold")).to_have_attribute("data-state", "applied")
    expect(state_of(page, "threshold")).to_have_attribute("data-revision", str(revision))
    expect(state_of(page, "threshold")).to_have_attribute("data-batch", str(batch))
    after = slider.input_value()
    assert float(after) == pytest.approx(applied["values"]["threshold"])

    charts = page.locator("[data-output=metrics] .chart")
    assert charts.count() >= 4
    for chart in charts.all():
        chart.scroll_into_view_if_needed()
        expect(chart.locator(f".mark[data-revision='{revision}'][data-batch='{batch}']")).to_be_attached()

    charts.first.scroll_into_view_if_needed()
    charts.first.locator(f".mark[data-revision='{revision}']").hover()
    card = charts.first.locator(f".mark[data-revision='{revision}'] .mark-card")
    expect(card).to_be_visible()
    expect(card).to_contain_text(f"Revision {revision} · batch {batch}")
    expect(card).to_contain_text(f"{float(before):g} → {float(after):g}")
    expect(card).to_contain_text(applied["by"])
    listed = page.locator(f".change[data-revision='{revision}']")
    expect(listed).to_contain_text(f"batch {batch}")

    metrics = [frame for frame in publications if frame["type"] == "publication" and frame["batch"] >= batch]
    assert [frame for frame in metrics if 0 < frame["revision"] < revision and frame["batch"] > batch] == []


def test_the_marks_are_there_after_a_reload(job_page: Page) -> None:
    job_page.locator("[data-field=metrics] label", has_text="swap").click()
    expect(state_of(job_page, "metrics")).to_have_attribute("data-state", "applied")
    revision = state_of(job_page, "metrics").get_attribute("data-revision")
    job_page.reload()
    expect(job_page.locator(f".chart .mark[data-revision='{revision}']").first).to_be_attached()
    expect(job_page.locator(f".change[data-revision='{revision}']")).to_contain_text("swap")


def test_a_refused_value_says_why_at_its_field(job_page: Page) -> None:
    box = job_page.get_by_label("Threshold").and_(job_page.get_by_role("textbox"))
    in_force = box.input_value()
    box.fill("99")
    box.press("Enter")
    alert = job_page.locator("[data-field=threshold]").get_by_role("alert")
    expect(alert).to_contain_text("8")
    expect(box).to_have_attribute("aria-invalid", "true")
    job_page.get_by_role("button", name="Go back to it").click()
    expect(box).to_have_value(in_force)
    expect(alert).to_have_count(0)


def test_another_ones_change_appears_here_too(demo: Served, open_page: OpenPage, job_page: Page) -> None:
    other = open_page(f"{demo.url}/#/jobs/host_metrics")
    box = other.get_by_label("Threshold").and_(other.get_by_role("textbox"))
    box.fill("6.5")
    box.press("Enter")
    here = job_page.get_by_label("Threshold").and_(job_page.get_by_role("textbox"))
    expect(here).to_have_value("6.5")
    expect(state_of(job_page, "threshold")).to_have_attribute("data-state", "applied")
    expect(state_of(job_page, "threshold")).to_contain_text("by ")
    expect(job_page.locator(".change").first).to_contain_text("6.5")


def test_pausing_stops_painting_and_not_the_data(job_page: Page) -> None:
    plot = job_page.locator("[data-output=metrics] .plot").first
    job_page.get_by_role("heading", level=1).click()
    job_page.keyboard.press("Space")
    expect(job_page.get_by_role("button", name=re.compile("Unfreeze"))).to_have_attribute("aria-pressed", "true")
    painted = plot.get_attribute("data-until")
    behind = job_page.locator(".behind")
    expect(behind).to_have_attribute("data-behind", re.compile("^[1-9]"))
    first = behind.get_attribute("data-behind")
    expect(behind).not_to_have_attribute("data-behind", first or "")
    assert plot.get_attribute("data-until") == painted
    job_page.keyboard.press("Space")
    expect(behind).to_have_count(0)
    expect(plot).not_to_have_attribute("data-until", painted or "")


@pytest.mark.timeout(180)
def test_a_killed_gateway_that_comes_back_loses_nothing(demo: Served, open_page: OpenPage) -> None:
    page = open_page("about:blank", expected="net::ERR_CONNECTION")
    received: list[dict[str, Any]] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda text: received.append(json.loads(text))))
    page.goto(f"{demo.url}/#/jobs/host_metrics")
    output = page.locator(".output[data-output=metrics]")
    expect(output).to_have_attribute("data-publications", re.compile("^[1-9]"))
    demo.kill()
    expect(page.locator("[data-link=reconnecting]")).to_contain_text("Reconnecting")
    page.get_by_role("button", name="Try now").click()
    came = output.get_attribute("data-publications")
    demo.start()
    expect(page.locator("[data-link=live]")).to_have_text(re.compile("Live"))
    expect(output).not_to_have_attribute("data-publications", came or "")
    page.locator(".status-bar").click()
    account = page.locator(".status-panel tr[data-stream$='/metrics']")
    expect(account.get_by_role("cell").first).to_have_text("live")
    expect(account).to_have_attribute("data-gaps", "0")
    expect(account).to_have_attribute("data-missing", "0")
    expect(page.locator(".status-bar .bad")).to_have_count(0)

    stream = {frame["sub"] for frame in received if frame["type"] == "subscribed" and "/metrics" in frame["stream"]}
    offsets = [frame["offset"] for frame in received if frame["type"] == "publication" and frame["sub"] in stream]
    assert len(stream) == 1
    assert offsets == list(range(offsets[0], offsets[-1] + 1))
