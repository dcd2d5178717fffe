"""The frames between a worker and the gateway."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from gateway.protocol.codec import decode_from_worker, decode_head, decode_to_worker, encode
from gateway.protocol.frames import tag_of
from gateway.protocol.link import FROM_WORKER, TO_WORKER, Head, LinkFrame, stream_key
from tests.protocol.strategies import frames

quick = settings(max_examples=40)


@pytest.mark.parametrize("kind", [*FROM_WORKER, *TO_WORKER], ids=lambda kind: kind.__name__)
def test_a_frame_of_the_link_is_read_as_it_was_written(kind: type[LinkFrame]) -> None:
    decode = decode_from_worker if kind in FROM_WORKER else decode_to_worker

    @given(frames(kind))
    @quick
    def check(frame: LinkFrame) -> None:
        assert decode(encode(frame)) == frame

    check()


@given(frames(Head))
@quick
def test_the_head_of_a_publication_is_read_as_it_was_written(head: Head) -> None:
    assert decode_head(encode(head)) == head


@pytest.mark.parametrize("kind", [*FROM_WORKER, *TO_WORKER], ids=lambda kind: kind.__name__)
def test_an_end_passes_over_what_a_later_release_says(kind: type[LinkFrame]) -> None:
    decode: Any = decode_from_worker if kind in FROM_WORKER else decode_to_worker

    @given(frames(kind))
    @settings(max_examples=5)
    def check(frame: LinkFrame) -> None:
        later = {**msgspec.json.decode(encode(frame)), "from_a_later_release": 1}
        assert decode(msgspec.json.encode(later)) == frame

    check()


def test_the_two_ways_share_no_type() -> None:
    assert not {tag_of(kind) for kind in FROM_WORKER} & {tag_of(kind) for kind in TO_WORKER}


def test_a_stream_is_known_by_its_job_and_its_output() -> None:
    assert stream_key("7", "$logs") == "7/$logs"
