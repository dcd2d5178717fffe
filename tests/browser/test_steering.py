"""The history of a job's parameters, what each change does, and a fork beside the original; on a real gateway.

The worker is a stand-in that is steered in every way there is, at once and without Spark: `tests.fakes.steered_peer`.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from websockets.sync.client import connect

from tests.browser.conftest import OpenPage, Served
from tests.browser.test_access import violations
from tests.browser.test_live import state_of
from tests.fakes.steered_peer import SteeredPeer

pytestmark = pytest.mark.browser

SCHEMES = ("light", "dark")
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("steered"), "serve", "--workers", "0").start()
    yield served
    served.stop()


@pytest.fixture(scope="module")
def peer(served: Served) -> Iterator[SteeredPeer]:
    peer = SteeredPeer(served.folder)
    yield peer
    peer.close()


def command(served: Served, **frame: Any) -> dict[str, Any]:
    """Send the gateway a command; returns its reply."""
    with connect(f"{served.url.replace('http', 'ws', 1)}/ws", proxy=None) as socket:
        socket.send(json.dumps({"id": 1, **frame}))
        return next(reply for reply in map(json.loads, socket) if reply.get("id") == 1)


@pytest.fixture
def job(served: Served, peer: SteeredPeer) -> Iterator[str]:
    """A job of its own for each test, by name; it is stopped afterwards, with its forks."""
    name = f"sensors-{next(_numbers)}"
    assert command(served, type="run", function="sensors", name=name)["type"] == "job"
    yield name
    for each in command(served, type="list_jobs")["jobs"]:
        if each["ended_at"] is None:
            assert command(served, type="stop", job=each["id"])["type"] == "job"


@pytest.fixture
def page(served: Served, job: str, open_page: OpenPage) -> Page:
    """The job's page, with data on it and its history."""
    return opened(open_page(f"{served.url}/#/jobs/{job}"))


def opened(page: Page) -> Page:
    page.locator(".plot[data-until]").first.wait_for()
    page.locator(".entry[data-revision='1']").wait_for(state="attached")
    return page


def box(page: Page, name: str) -> Locator:
    """The box of a parameter, to type in."""
    return page.get_by_role("textbox", name=name, exact=True)


def change(page: Page, name: str, value: str) -> None:
    """Type a value, as a user does."""
    box(page, name).fill(value)
    box(page, name).press("Enter")


def entry(page: Page, revision: int) -> Locator:
    return page.locator(f".entry[data-revision='{revision}']")


def test_every_change_is_in_the_history_as_it_happens_and_afterwards(page: Page, peer: SteeredPeer) -> None:
    with peer.held():
        change(page, "Threshold", "4")
        expect(entry(page, 2)).to_contain_text("waits for its batch")
        expect(entry(page, 2)).to_contain_text("threshold 3 → 4")
        change(page, "Threshold", "5")
        expect(entry(page, 2)).to_contain_text("overtaken before a batch")
        expect(entry(page, 2)).to_contain_text("revision 3 came before")
    expect(entry(page, 3)).to_contain_text(re.compile(r"holds now\s*applied, batch \d+"))
    expect(entry(page, 3)).to_contain_text(re.compile(r"anyone · websocket 127\.0\.0\.1"))
    page.get_by_label("Source").select_option("broken")
    expect(entry(page, 4)).to_contain_text("rejected")
    expect(entry(page, 4)).to_contain_text('the source "broken" cannot be read')
    expect(entry(page, 4)).to_contain_text("short restart")
    expect(entry(page, 3)).to_contain_text("holds now")

    told = page.locator(".changes").inner_text()
    page.reload()
    opened(page)
    assert page.locator(".changes").inner_text() == told


def test_what_is_being_typed_stays_while_the_page_goes_on(page: Page) -> None:
    for name, typed in (("Minutes that a change holds", "12"), ("Threshold", "7.5"), ("Window", "45 s")):
        box(page, name).fill(typed)
        painted = page.locator(".plot").first.get_attribute("data-until") or ""
        uptime = page.locator(".figures-row dd").first
        told = uptime.inner_text()
        expect(uptime).not_to_have_text(told)
        expect(page.locator(".plot").first).not_to_have_attribute("data-until", painted)
        expect(box(page, name)).to_have_value(typed)


def test_a_revision_that_is_looked_at_is_compared_and_its_mark_stands_out(page: Page) -> None:
    change(page, "Threshold", "4")
    expect(state_of(page, "threshold")).to_have_attribute("data-state", "applied")
    change(page, "Smoothing", "0.5")
    expect(state_of(page, "smoothing")).to_have_attribute("data-state", "applied")
    comparison = page.locator(".comparison")
    entry(page, 1).hover()
    expect(comparison.get_by_role("row", name=re.compile("threshold"))).to_have_text(re.compile(r"threshold\s*3\s*4"))
    expect(comparison.get_by_role("row", name=re.compile("smoothing"))).to_have_text(re.compile(r"smoothing\s*0\s*0.5"))
    expect(page.locator(".field.compared")).to_have_count(2)
    entry(page, 2).hover()
    expect(page.locator(".chart .mark.looked-at")).to_have_attribute("data-revision", "2")
    expect(page.locator(".field.compared")).to_have_count(1)
    page.get_by_role("heading", level=1).hover()
    expect(page.locator(".mark.looked-at")).to_have_count(0)
    expect(comparison).to_contain_text("Point at a revision")

    page.locator(".change").first.focus()
    expect(comparison).to_contain_text("Revision 3 holds now")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".change[data-revision='2']")).to_be_focused()
    expect(comparison).to_have_attribute("data-revision", "2")


def test_a_click_restores_and_so_does_a_key(page: Page) -> None:
    change(page, "Threshold", "4")
    expect(state_of(page, "threshold")).to_have_attribute("data-state", "applied")
    entry(page, 1).hover()
    page.get_by_role("button", name="Restore revision 1").click()
    expect(entry(page, 3)).to_contain_text("Brings back revision 1")
    expect(box(page, "Threshold")).to_have_value("3")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(state_of(page, "threshold")).to_have_attribute("data-revision", "3")
    page.locator(".change[data-revision='2']").focus()
    page.keyboard.press("r")
    expect(entry(page, 4)).to_contain_text("Brings back revision 2")
    expect(box(page, "Threshold")).to_have_value("4")
    expect(entry(page, 4).get_by_role("button", name="Restore revision 4")).to_have_count(0)


def test_a_restart_is_told_and_made(page: Page, peer: SteeredPeer) -> None:
    field = page.locator("[data-field=source]")
    expect(field).to_contain_text("short restart")
    expect(page.locator("[data-field=threshold]")).to_contain_text("next batch")
    with peer.held():
        page.get_by_label("Source").select_option("agent")
        expect(state_of(page, "source")).to_contain_text("the query restarts with it")
    expect(state_of(page, "source")).to_have_attribute("data-state", "applied")
    expect(page.locator(".job-title [data-state=running]")).to_be_visible()


def test_what_gives_up_the_state_asks_first(page: Page) -> None:
    change(page, "Window", "PT30S")
    dialog = page.get_by_role("dialog", name="Start the job afresh?")
    expect(dialog).to_contain_text("window → 30 s")
    dialog.get_by_role("button", name="Leave it as it is").click()
    expect(dialog).to_have_count(0)
    expect(box(page, "Window")).to_have_value("1 min")
    expect(page.locator(".entry")).to_have_count(1)

    change(page, "Window", "PT30S")
    dialog.get_by_role("button", name="Start afresh").click()
    expect(dialog).to_have_count(0)
    expect(state_of(page, "window")).to_have_attribute("data-state", "applied")
    expect(page.locator("[data-output=metrics] .gap-list")).to_contain_text("epoch")

    entry(page, 1).hover()
    page.get_by_role("button", name="Restore revision 1").click()
    expect(dialog).to_contain_text("the values of revision 1")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.locator(".entry")).to_have_count(2)
    page.get_by_role("button", name="Restore revision 1").click()
    dialog.get_by_role("button", name="Start afresh").click()
    expect(entry(page, 3)).to_contain_text("Brings back revision 1")
    expect(box(page, "Window")).to_have_value("1 min")


def test_a_rejected_change_tells_why_and_what_holds_is_shown(page: Page) -> None:
    page.get_by_label("Source").select_option("broken")
    field = page.locator("[data-field=source]")
    expect(field.get_by_role("alert")).to_contain_text('the source "broken" cannot be read')
    expect(state_of(page, "source")).to_contain_text("Revision 2 was rejected; kernel holds")
    expect(page.get_by_label("Source")).to_have_value("0")
    expect(page.get_by_label("Source")).not_to_have_attribute("aria-invalid", "true")
    expect(page.locator(".parameters .revision")).to_have_text("revision 1")
    field.get_by_role("button", name="Understood").click()
    expect(field.get_by_role("alert")).to_have_count(0)


def test_pausing_the_job_is_not_freezing_the_view(page: Page) -> None:
    group = page.locator(".group[data-group=Job]")
    for name in ("Trigger", "Most rows", "Most files"):
        expect(group.get_by_role("textbox", name=name)).to_be_visible()
    switch = group.get_by_role("switch", name="Pause the job")
    switch.click()
    expect(page.locator(".job-title [data-state=paused]")).to_be_visible()
    expect(switch).to_have_attribute("aria-checked", "true")
    expect(page.locator(".paused-note")).to_contain_text("Paused by anyone")
    expect(page.get_by_role("button", name="Freeze", exact=True)).to_have_attribute("aria-pressed", "false")
    page.get_by_role("button", name="Let the job go on").click()
    expect(page.locator(".job-title [data-state=running]")).to_be_visible()
    expect(page.locator(".paused-note")).to_have_count(0)
    expect(switch).to_have_attribute("aria-checked", "false")


def test_a_change_for_a_time_counts_down_and_goes_back(page: Page) -> None:
    panel = page.locator(".parameters")
    panel.get_by_role("textbox", name="Minutes that a change holds").fill("0.1")
    panel.get_by_role("switch", name="For a time only").click()
    change(page, "Threshold", "7")
    expires = page.locator("[data-field=threshold] [data-expires]")
    expect(expires).to_contain_text(re.compile(r"Goes back in [1-6] s"))
    expect(entry(page, 2)).to_contain_text("Goes back in")
    expect(entry(page, 2)).to_contain_text("taken back")
    expect(box(page, "Threshold")).to_have_value("3")
    expect(expires).to_have_count(0)
    expect(entry(page, 3)).to_contain_text("was to hold until")


def test_a_fork_beside_the_original(page: Page, job: str, served: Served) -> None:
    change(page, "Threshold", "4")
    expect(state_of(page, "threshold")).to_have_attribute("data-state", "applied")
    page.get_by_role("link", name=f"Compare {job} with other values").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Compare {job} with other values")
    expect(box(page, "Threshold")).to_have_value("4")
    page.get_by_role("button", name="Fork and compare").click()
    expect(page.get_by_role("alert")).to_contain_text("Give at least one parameter another value")
    change_in_form(page, "Smoothing", "0.9")
    expect(page.get_by_text("One value is different.")).to_be_visible()
    page.get_by_label("Name of the fork").fill(f"{job}-b")
    page.get_by_role("button", name="Fork and compare").click()

    expect(page.get_by_role("heading", level=1)).to_have_text(f"{job} and its fork")
    assert page.url.endswith(f"#/compare/{job}/{job}-b")
    page.reload()
    plot = page.get_by_role("img", name=re.compile(r"Line chart of metrics.*cpu A \d.*cpu B \d"))
    expect(plot).to_be_visible()
    expect(page.locator(".mark[data-side=A][data-revision='2']")).to_be_attached()
    different = page.locator(".differences [data-parameter]")
    expect(different).to_have_text(re.compile(r"smoothing\s*A\s*0\s*B\s*0.9"))
    expect(page.locator(".field.differs[data-field=smoothing]")).to_have_count(2)
    expect(page.locator(".field.differs")).to_have_count(2)

    legend = page.get_by_role("group", name="Lines shown")
    legend.get_by_role("button", name=re.compile("B fork")).click()
    expect(legend.get_by_role("button", name=re.compile("B fork"))).to_have_attribute("aria-pressed", "false")

    fork = page.locator(".parameters").nth(1)
    fork.get_by_role("textbox", name="Threshold").fill("6")
    fork.get_by_role("textbox", name="Threshold").press("Enter")
    expect(page.locator(".mark[data-side=B][data-revision='2']")).to_be_attached()
    expect(different).to_have_count(2)
    page.get_by_role("button", name="Give A these values").click()
    expect(page.get_by_text("Both have the same values")).to_be_visible()
    expect(page.locator(".side[data-side=A]")).to_contain_text(re.compile(r"Revision\s*3"))


def change_in_form(page: Page, name: str, value: str) -> None:
    """Type a value in a form, which takes it when the box is left."""
    box(page, name).fill(value)
    box(page, name).blur()


@pytest.fixture
def compared(page: Page, job: str) -> Page:
    """The job and its fork, side by side."""
    page.get_by_role("link", name=f"Compare {job} with other values").click()
    change_in_form(page, "Smoothing", "0.9")
    page.get_by_role("button", name="Fork and compare").click()
    page.get_by_role("img", name=re.compile("cpu B")).wait_for()
    return page


def test_the_fork_is_kept(compared: Page, job: str) -> None:
    compared.get_by_role("link", name="Keep the fork, leave").click()
    expect(compared.locator(".job-title [data-state=running]")).to_be_visible()
    expect(compared.locator(".forked")).to_contain_text(f"forked from {job}")
    compared.get_by_role("link", name="compare the two").click()
    expect(compared.get_by_role("heading", level=1)).to_have_text(f"{job} and its fork")


def test_the_fork_is_stopped(compared: Page) -> None:
    fork = compared.locator(".side[data-side=B]")
    compared.get_by_role("button", name=re.compile("^Stop the fork")).click()
    compared.get_by_role("button", name="Stop the job").click()
    expect(fork.locator("[data-state=cancelled]")).to_be_visible()
    expect(compared.locator(".side[data-side=A] [data-state=running]")).to_be_visible()
    expect(compared.locator(".parameters").nth(1)).to_contain_text("these are the last values it ran with")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_nothing_and_a_phone_shows_it_all(
    compared: Page, served: Served, job: str, open_page: OpenPage, scheme: str, width: int
) -> None:
    change_all(compared)
    address = compared.url.partition("#")[2]
    for path in (f"/jobs/{job}", f"/compare/{job}", address):
        page = open_page(f"{served.url}/#{path}", scheme=scheme, width=width)
        page.locator(".plot[data-until], .compare-form footer").first.wait_for()
        unfold(page)
        if path.startswith("/jobs"):
            page.locator(".change").nth(1).focus()
            page.locator(".comparison[data-revision]").wait_for()
        assert page.evaluate("() => document.documentElement.scrollWidth") == width
        assert violations(page) == []
    page = opened(open_page(f"{served.url}/#/jobs/{job}", scheme=scheme, width=width))
    unfold(page)
    change(page, "Window", "PT30S")
    page.get_by_role("dialog", name="Start the job afresh?").wait_for()
    assert violations(page) == []


def unfold(page: Page) -> None:
    """Open what is folded up on a narrow screen."""
    folded = page.locator("details:not([open]) > summary")
    while folded.count():
        folded.first.click()


def change_all(page: Page) -> None:
    """Have changes of every outcome, on the side of the original."""
    original = page.locator(".parameters").first
    original.get_by_label("Source").select_option("broken")
    original.get_by_role("button", name="Understood").click()
    original.get_by_role("switch", name="For a time only").click()
    original.get_by_role("textbox", name="Threshold").fill("2")
    original.get_by_role("textbox", name="Threshold").press("Enter")
    expect(original.locator("[data-expires]")).to_be_visible()
    original.get_by_role("switch", name="Pause the job").click()
    expect(page.locator(".side[data-side=A] [data-state=paused]")).to_be_visible()
