from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from fargate_driver.ssh.marker import EndMarker

NONCE = "0123456789abcdef"
START = b"\0fargate-end:" + NONCE.encode() + b":"
NEAR_MISSES = [START[:size] for size in range(1, len(START) + 1)] + [
    START + b"7\n",
    START + b"00x\n",
    START + b"0000",
    b"\0fargate-end:fedcba9876543210:000\n",
]
pieces = st.lists(st.one_of(st.binary(max_size=20), st.sampled_from(NEAR_MISSES)), max_size=12)


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(at)]


@given(pieces, st.integers(0, 255), st.binary(max_size=50), st.lists(st.integers(0, 5000)))
def test_any_bytes_in_any_chunks_pass_unchanged_up_to_the_marker(
    parts: list[bytes], code: int, after: bytes, cuts: list[int]
) -> None:
    output = b"".join(parts)
    marker = EndMarker(NONCE)
    stream = output + START + b"%03d\n" % code + after
    passed = b"".join(marker.feed(chunk) for chunk in chunks(stream, cuts))
    assert (passed, marker.code) == (output, code)


@given(pieces, st.lists(st.integers(0, 5000)))
def test_without_a_marker_nothing_is_lost_and_there_is_no_verdict(
    parts: list[bytes], cuts: list[int]
) -> None:
    output = b"".join(parts)
    marker = EndMarker(NONCE)
    passed = b"".join(marker.feed(chunk) for chunk in chunks(output, cuts))
    assert (passed + marker.rest(), marker.code) == (output, None)


@given(st.binary(max_size=200))
def test_no_more_is_held_back_than_the_beginning_of_a_marker(output: bytes) -> None:
    marker = EndMarker(NONCE)
    passed = b"".join(marker.feed(bytes([byte])) for byte in output)
    held = marker.rest()
    assert len(passed) + len(held) == len(output)
    assert START.startswith(held)


def test_single_bytes_pass_at_once() -> None:
    marker = EndMarker(NONCE)
    assert [marker.feed(b"x") for _ in range(3)] == [b"x"] * 3
