"""The connection told honestly: what came, what did not and why, at what pace; and Arrow for those who want it."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, WebSocket, expect

from tests.browser.conftest import OpenPage, Served
from tests.browser.test_access import violations
from tests.browser.wires import LossyWire

pytestmark = [pytest.mark.browser, pytest.mark.spark]


class Frames:
    """What a page's socket has sent and received, as JSON."""

    def __init__(self, page: Page) -> None:
        self.sent: list[dict[str, Any]] = []
        self.received: list[dict[str, Any]] = []
        self.sockets: list[WebSocket] = []
        page.on("websocket", self._watch)

    def _watch(self, socket: WebSocket) -> None:
        self.sockets.append(socket)
        socket.on("framesent", lambda text: self.sent.append(json.loads(text)))
        socket.on("framereceived", lambda text: self.received.append(json.loads(text)))

    def sub_of(self, stream: str) -> int:
        """The number of the only subscription to it."""
        (sub,) = {
            frame["sub"] for frame in self.sent if frame["type"] == "subscribe" and frame["stream"].endswith(stream)
        }
        return int(sub)

    def paces_of(self, stream: str) -> list[int]:
        """How often at most it was asked to come, one wish after the other."""
        sub = self.sub_of(stream)
        return [frame["every_ms"] for frame in self.sent if frame.get("sub") == sub and "every_ms" in frame]

    def lie_end_to_end(self, stream: str) -> bool:
        """Whether every offset came in exactly one publication or gap."""
        sub = self.sub_of(stream)
        ranges = [
            (frame["from"], frame["to"])
            if frame["type"] == "gap"
            else (frame.get("from", frame["offset"]), frame["offset"])
            for frame in self.received
            if frame["type"] in ("publication", "gap") and frame["sub"] == sub
        ]
        return len(ranges) > 1 and all(after[0] == before[1] + 1 for before, after in pairwise(ranges))


@pytest.fixture
def watched(demo: Served, open_page: OpenPage) -> tuple[Page, Frames]:
    """The page of host_metrics, with data on it, and the frames of its socket."""
    page = open_page("about:blank")
    frames = Frames(page)
    page.goto(f"{demo.url}/#/jobs/host_metrics")
    page.locator(".plot[data-until]").first.wait_for()
    return page, frames


def row_of(page: Page, stream: str) -> Any:
    """What the panel tells of a stream."""
    return page.locator(f".status-panel tr[data-stream$='{stream}']")


def test_the_panel_has_both_sides_of_every_subscription(watched: tuple[Page, Frames]) -> None:
    page, frames = watched
    page.locator(".status-bar").click()
    metrics = row_of(page, "/metrics")
    expect(page.locator(".verdict")).to_contain_text("Nothing is missing.")
    expect(metrics.get_by_role("cell").first).to_have_text("live")
    expect(metrics.locator("[data-label=Credit]")).to_have_text(re.compile(r"^[0-9]+$"))
    expect(metrics.locator("[data-label=Bytes]")).to_have_text(re.compile(r"^[1-9].*B$"))
    expect(metrics.locator("[data-label=Lag]")).to_have_text(re.compile(r"ms / "))
    told = [
        frame
        for frame in frames.received
        if frame["type"] == "publication" and frame["sub"] == frames.sub_of("$subscriptions")
    ]
    assert {row["sub"] for row in told[-1]["rows"]} >= {frames.sub_of("/metrics"), frames.sub_of("$subscriptions")}
    with frames.sockets[-1].expect_event(
        "framesent", lambda text: json.loads(text)["type"] == "unsubscribe"
    ) as given_up:
        page.locator(".status-bar").click()
    assert json.loads(given_up.value)["sub"] == frames.sub_of("$subscriptions")
    expect(page.locator(".status-panel")).to_have_count(0)


def test_another_pace_is_kept_and_nothing_is_lost(watched: tuple[Page, Frames]) -> None:
    page, frames = watched
    page.locator(".status-bar").click()
    page.get_by_label("Update").select_option("every 5 s")
    metrics = row_of(page, "/metrics")
    expect(metrics).to_contain_text("every 5 s")
    expect(metrics.locator("[data-label=Merged]")).to_have_text(re.compile("^[1-9]"))
    page.get_by_label("Update").select_option("each batch")
    expect(metrics).not_to_contain_text("every")
    expect(page.locator(".verdict")).to_contain_text("Nothing is missing.")
    assert frames.paces_of("/metrics") == [0, 5000, 0]
    assert frames.lie_end_to_end("/metrics")


def is_merged(text: str | bytes, sub: int) -> bool:
    """Whether it is a publication that covers several."""
    frame = json.loads(text)
    return frame["type"] == "publication" and frame["sub"] == sub and "from" in frame


def hide(page: Page, hidden: bool) -> None:
    """What a browser does when another tab is looked at; without a window it cannot be made to."""
    page.evaluate(
        """hidden => {
            Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_a_hidden_page_costs_less_and_loses_nothing(watched: tuple[Page, Frames]) -> None:
    page, frames = watched
    output = page.locator(".output[data-output=metrics]")
    hide(page, hidden=True)
    sub = frames.sub_of("/metrics")
    frames.sockets[-1].wait_for_event("framereceived", lambda text: is_merged(text, sub))
    hide(page, hidden=False)
    came = output.get_attribute("data-publications")
    expect(output).not_to_have_attribute("data-publications", came or "")
    assert frames.paces_of("/metrics") == [0, 5000, 0]
    assert frames.paces_of("/$progress") == [0, 5000, 0]
    assert frames.lie_end_to_end("/metrics")
    assert frames.lie_end_to_end("/$progress")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_was_dropped_and_what_ended_is_told(demo: Served, open_page: OpenPage, scheme: str) -> None:
    end = {"type": "subscription_ended", "reason": "overflow: a test", "last_offset": 1}
    page = open_page("about:blank", scheme=scheme)
    page.route_web_socket(re.compile("/ws$"), LossyWire("/metrics", "overflow", end).attach)
    page.goto(f"{demo.url}/#/jobs/host_metrics")
    expect(page.get_by_role("alert")).to_contain_text("Nothing more comes of this output: overflow: a test")
    expect(page.locator("[data-output=metrics] .gap-list")).to_contain_text("overflow")
    expect(page.locator(".status-bar")).to_contain_text("Not as asked 1")
    page.locator(".status-bar").click()
    expect(page.locator(".notice")).to_contain_text("host_metrics/metrics ended: overflow: a test")
    expect(row_of(page, "/metrics").get_by_role("cell").first).to_have_text("ended")
    expect(page.locator(".verdict")).to_contain_text("3 publications will never come")
    assert violations(page) == []


def test_a_degraded_subscription_is_told(demo: Served, open_page: OpenPage) -> None:
    degraded = {"type": "subscription_degraded", "overflow": "latest", "reason": "it held the job back for 30 s"}
    page = open_page("about:blank")
    page.route_web_socket(re.compile("/ws$"), LossyWire("/metrics", "overflow", degraded).attach)
    page.goto(f"{demo.url}/#/jobs/host_metrics")
    page.locator(".status-bar").click()
    expect(page.locator(".verdict")).to_contain_text("3 publications will never come, because this page was too slow")
    expect(page.locator(".notice")).to_contain_text("held to latest from now on: it held the job back for 30 s")
    metrics = row_of(page, "/metrics")
    expect(metrics.locator("[data-label=Dropped]")).to_have_text("3")
    expect(metrics).to_contain_text("latest")
    assert violations(page) == []


def test_a_sparkline_takes_what_it_shows_and_no_more(demo: Served, open_page: OpenPage) -> None:
    page = open_page("about:blank")
    frames = Frames(page)
    page.goto(f"{demo.url}/#/jobs")
    page.get_by_role("img", name=re.compile("Rows processed per second by host_metrics: now")).wait_for()
    subs = {
        frame["sub"] for frame in frames.sent if frame["type"] == "subscribe" and frame["stream"].endswith("$progress")
    }
    rows = [
        row
        for frame in frames.received
        if frame["type"] == "publication" and frame["sub"] in subs
        for row in frame["rows"]
    ]
    assert rows
    assert {name for row in rows for name in row} == {
        "input_rows_per_second",
        "processed_rows_per_second",
        "batch_duration_ms",
    }


#: On a page of the gateway's own origin: the same publications twice, as JSON and as Arrow.
COMPARE = """async () => {
    const { connect } = await import("/client/index.js");
    const taken = async (options) => {
        const connection = connect(undefined, options);
        const subscription = connection.subscribe("host_metrics/metrics", {
            since: "earliest", overflow: "drop_oldest", credit: 4,
        });
        const found = [];
        await new Promise((resolve) => subscription.on("publication", (publication) => {
            const { offset, rows, table } = publication;
            found.push({ offset, rows, count: table?.numRows });
            if (found.length === 8) resolve();
        }));
        connection.close();
        return { found, violations: subscription.counts.violations };
    };
    return { json: await taken({}), arrow: await taken({ arrow: true }) };
}"""


def test_arrow_gives_the_same_rows_and_is_loaded_by_who_asks_for_it(job_page: Page) -> None:
    loaded: list[str] = []
    job_page.on("request", lambda request: loaded.append(urlsplit(request.url).path))
    job_page.reload()
    job_page.locator(".plot[data-until]").first.wait_for()
    assert "/vendor/vendor.js" in loaded
    assert "/vendor/arrow.js" not in loaded
    compared = job_page.evaluate(COMPARE)
    assert "/vendor/arrow.js" in loaded
    assert compared["json"]["violations"] == compared["arrow"]["violations"] == 0
    as_json = {each["offset"]: each["rows"] for each in compared["json"]["found"]}
    common = [each for each in compared["arrow"]["found"] if each["offset"] in as_json]
    assert common
    for each in common:
        assert each["rows"] == as_json[each["offset"]]
        assert each["count"] == len(each["rows"])
