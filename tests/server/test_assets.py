"""The dashboard as it is served: its files, its headers, and nothing outside."""

from __future__ import annotations

import httpx2
import pytest

from gateway.main import RunningGateway
from gateway.server.assets import WEB


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html"),
        ("/client/index.js", "javascript"),
        ("/vendor/vendor.js", "javascript"),
        ("/vendor/arrow.js", "javascript"),
        ("/favicon.svg", "svg"),
    ],
)
async def test_a_file_is_served_with_the_headers_that_keep_a_page_to_itself(
    gateway: RunningGateway, path: str, media_type: str
) -> None:
    async with httpx2.AsyncClient(base_url=gateway.url) as http:
        response = await http.get(path)
        assert response.status_code == 200
        assert media_type in response.headers["content-type"]
        policy = response.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-cache"
        again = await http.get(path, headers={"If-None-Match": response.headers["etag"]})
        assert again.status_code == 304


@pytest.mark.parametrize("path", ["/../gateway/main.py", "/%2e%2e/pyproject.toml", "/generated/../../README.md"])
async def test_nothing_outside_is_served(gateway: RunningGateway, path: str) -> None:
    async with httpx2.AsyncClient(base_url=gateway.url) as http:
        assert (await http.get(path)).status_code == 404


def test_the_files_are_there() -> None:
    assert (WEB / "index.html").is_file()
