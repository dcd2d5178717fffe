"""What one writes first: Starlette on uvicorn, a queue and a task per subscriber. `starlette_app.py PORT DOOR_PORT`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

MOST_WAITING = 64
queues: set[asyncio.Queue[str]] = set()


async def publisher(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        text = line[:-1].decode()
        for queue in queues:
            if not queue.full():
                queue.put_nowait(text)
    writer.close()


async def subscriber(websocket: WebSocket) -> None:
    await websocket.accept()
    queue: asyncio.Queue[str] = asyncio.Queue(MOST_WAITING)
    queues.add(queue)

    async def write() -> None:
        while True:
            await websocket.send_text(await queue.get())

    task = asyncio.create_task(write())
    with suppress(WebSocketDisconnect):
        while True:
            await websocket.receive_text()
    queues.discard(queue)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    async with await asyncio.start_server(publisher, "127.0.0.1", int(sys.argv[2])):
        yield


app = Starlette(routes=[WebSocketRoute("/", subscriber)], lifespan=lifespan)

if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        backlog=4096,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
