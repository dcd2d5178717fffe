"""What stands between the real gateway and a page, to force what does not happen by itself."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import WebSocketRoute


class LossyWire:
    """Makes a gap of three publications of a stream, as the gateway would; then says `last_words` of it."""

    def __init__(self, stream: str, reason: str = "retention", last_words: dict[str, Any] | None = None) -> None:
        self._stream = stream
        self._reason = reason
        self._last_words = last_words
        self._sub: int | None = None
        self._seen = 0
        self._lost: list[dict[str, Any]] = []

    def attach(self, socket: WebSocketRoute) -> None:
        """Carry everything, both ways."""
        server = socket.connect_to_server()

        def on_message(text: str | bytes) -> None:
            for each in self.carry(str(text)):
                socket.send(each)

        server.on_message(on_message)

    def carry(self, text: str) -> list[str]:
        """What the page gets of a frame."""
        frame = json.loads(text)
        if frame["type"] == "subscribed" and frame["stream"].endswith(self._stream):
            self._sub = frame["sub"]
        if frame["type"] != "publication" or frame["sub"] != self._sub:
            return [text]
        self._seen += 1
        if 4 <= self._seen <= 6:
            self._lost.append(frame)
            return []
        if self._seen != 7:
            return [text]
        gap = {"type": "gap", "sub": self._sub, "epoch": frame["epoch"], "reason": self._reason}
        first, last = self._lost[0], self._lost[-1]
        made = [json.dumps({**gap, "from": first.get("from", first["offset"]), "to": last["offset"]}), text]
        if self._last_words is not None:
            made.append(json.dumps({**self._last_words, "sub": self._sub}))
        return made
