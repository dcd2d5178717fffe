"""A client of server-sent events: what stands on the wire, and nothing made of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2

from gateway.main import RunningGateway


@dataclass
class Event:
    """One block of lines: its fields, its comments, and its data read."""

    fields: dict[str, str] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, block: str) -> Event:
        event = cls()
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name:
                assert name not in event.fields, block
                event.fields[name] = value
            else:
                event.comments.append(value)
        return event

    @property
    def name(self) -> str | None:
        return self.fields.get("event")

    @property
    def id(self) -> str | None:
        return self.fields.get("id")

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.fields["data"])
        return data


class Events:
    """A response that has begun."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self._blocks = self._read()

    async def receive(self) -> Event:
        """The next event or comment; raises `EOFError` where the response has ended."""
        async with asyncio.timeout(10):
            block = await anext(self._blocks, None)
        if block is None:
            raise EOFError
        return Event.of(block)

    async def until(self, name: str) -> Event:
        while (event := await self.receive()).name != name:
            pass
        return event

    async def to_the_end(self) -> list[Event]:
        events = []
        with contextlib.suppress(EOFError):
            while True:
                events.append(await self.receive())
        return events

    async def offsets(self, count: int) -> list[int]:
        return [(await self.until("publication")).data["offset"] for _ in range(count)]

    async def _read(self) -> AsyncIterator[str]:
        text = ""
        async for chunk in self.response.aiter_text():
            text += chunk
            *blocks, text = text.split("\n\n")
            for block in blocks:
                yield block
        assert not text, "the last event was cut off"


@contextlib.asynccontextmanager
async def events(
    gateway: RunningGateway, stream: str = "feed/rows", *, headers: dict[str, str] | None = None, **query: object
) -> AsyncIterator[Events]:
    async with (
        httpx2.AsyncClient(base_url=gateway.url) as http,
        http.stream("GET", f"/api/v1/streams/{stream}/events", params=query, headers=headers or {}) as response,
    ):
        assert response.status_code == 200, await response.aread()
        yield Events(response)


def account(frames: list[dict[str, Any]], start: int) -> Iterator[int]:
    """The offsets of the publications; every offset after `start` must be in exactly one publication or gap."""
    at = start
    for frame in frames:
        if frame["type"] == "gap":
            first, last = frame["from"], frame["to"]
        elif frame["type"] == "publication":
            first, last = frame.get("from", frame["offset"]), frame["offset"]
            yield last
        else:
            continue
        assert first == at + 1, f"{frame} follows offset {at}"
        at = last
