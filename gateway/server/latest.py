"""The newest micro-batch of a stream, in the form that a client asks for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from http import HTTPStatus
from typing import Final

import pyarrow as pa
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gateway.core.cache import Cache
from gateway.core.forms import arrow_form, csv_form, json_form, ndjson_form, pieces
from gateway.core.gateway import Gateway
from gateway.core.merge import concatenated
from gateway.core.publication import Publication, merged
from gateway.core.shape import Shape
from gateway.core.stream import Stream
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import Subscribe
from gateway.protocol.reading import ARROW_STREAM, CSV, NDJSON
from gateway.protocol.rest import JSON
from gateway.server.accept import preferred
from gateway.server.requests import is_known

#: What the headers tell, whatever the form.
POSITION_HEADERS: Final = ("Rivulet-Epoch", "Rivulet-Offset", "Rivulet-Revision", "Rivulet-Batch")
#: In order of preference.
_FORMS: Final[dict[str, Callable[[Publication, Cache], Iterator[bytes]]]] = {
    JSON: lambda publication, _cache: json_form(publication),
    NDJSON: lambda publication, _cache: ndjson_form(publication),
    CSV: lambda publication, _cache: csv_form(publication),
    ARROW_STREAM: arrow_form,
}


async def latest_response(gateway: Gateway, request: Request, command: Subscribe) -> Response:
    """The newest micro-batch of `command.stream` through its `where` and `select`.

    Raises `RivuletError` NOT_FOUND where there is no such stream or nothing on it yet, NOT_ACCEPTABLE, INVALID_FRAME.
    """
    media_type = preferred(request.headers.get("accept"), tuple(_FORMS))
    stream = gateway.resolve(command.stream)
    gateway.demand.wanted(stream)
    newest = _newest(stream)
    shape = Shape.of(command.where, None if command.select is UNSET else command.select)
    shape.check(newest.table.schema)
    headers = _headers(newest)
    if is_known(request.headers.get("if-none-match", ""), headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if request.method == "HEAD":
        response = Response(headers=headers, media_type=media_type)
        del response.headers["Content-Length"]  # that of the rows is not known
        return response
    if not shape.plain:
        newest = newest.with_table(await _shaped(newest.table, shape))
    form = partial(_FORMS[media_type], newest, gateway.subscribing.cache)
    return StreamingResponse(_with_pauses(form()), headers=headers, media_type=media_type)


def _newest(stream: Stream) -> Publication:
    batch = stream.newest_batch
    if not batch:
        raise RivuletError(ErrorCode.NOT_FOUND, "nothing was published on this stream yet", "$.stream")
    return merged(batch, concatenated([each.table for each in batch]) if len(batch) > 1 else batch[0].table)


def _headers(publication: Publication) -> dict[str, str]:
    told = (publication.epoch, publication.offset, publication.revision, publication.batch)
    return {
        **dict(zip(POSITION_HEADERS, map(str, told), strict=True)),
        # Weak, since it is the same for all forms (RFC 9110, 8.8.1).
        "ETag": f'W/"{publication.epoch}:{publication.offset}"',
        "Vary": "Accept",
        "Cache-Control": "private, no-cache",
    }


async def _shaped(table: pa.Table, shape: Shape) -> pa.Table:
    parts = []
    for piece in pieces(table):
        parts.append(shape.apply(piece))
        await asyncio.sleep(0)
    return pa.concat_tables(parts)


async def _with_pauses(made: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in made:
        yield piece
        await asyncio.sleep(0)
