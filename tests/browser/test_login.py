"""A gateway that wants a token: no Spark is needed to be let in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage, Served
from tests.browser.test_access import violations

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A file of tokens, and the one token in it, which may only look."""
    file = tmp_path_factory.mktemp("tokens") / "tokens.toml"
    command = [
        sys.executable,
        "-m",
        "gateway.cli",
        "token",
        "new",
        "ada",
        "--rights",
        "read",
        "--tokens-file",
        str(file),
    ]
    made = subprocess.run(command, capture_output=True, text=True, check=True)
    return file, made.stdout.strip()


@pytest.fixture(scope="module")
def guarded(tokens: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("guarded")
    served = Served(folder, "serve", "--workers", "0", "--tokens-file", str(tokens[0])).start()
    yield served
    served.stop()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_token_lets_in(guarded: Served, tokens: tuple[Path, str], open_page: OpenPage, scheme: str) -> None:
    page = open_page(guarded.url, scheme=scheme, expected="401")
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    assert violations(page) == []
    page.get_by_label("Token").fill("not-a-token")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("refuses this token")
    page.get_by_label("Token").fill(tokens[1])
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("[data-link=live]")).to_be_visible()
    expect(page.get_by_role("heading", name="Nothing runs yet")).to_be_visible()
    expect(page.get_by_role("link", name="Start a job")).to_have_count(0)
    assert violations(page) == []
    page.reload()
    expect(page.locator("[data-link=live]")).to_be_visible()
    page.get_by_role("button", name="Log out ada").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
