from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from fargate_driver.ssh.marker import Output

NONCE = "0123456789abcdef"
STAGE = "0011223344556677"
BEGIN = b"\0fargate-begin:" + STAGE.encode() + b"\n"
END = b"\0fargate-end:" + NONCE.encode() + b":"
NEAR_MISSES = [mark[:size] for mark in (BEGIN, END) for size in range(1, len(mark) + 1)] + [
    END + b"7\n",
    END + b"00x\n",
    END + b"0000",
    b"\0fargate-end:fedcba9876543210:000\n",
]
pieces = st.lists(st.one_of(st.binary(max_size=20), st.sampled_from(NEAR_MISSES)), max_size=12)
cuts_anywhere = st.lists(st.integers(0, 5000))


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(at)]


def feed(output: Output, data: bytes, cuts: list[int]) -> bytes:
    return b"".join(output.feed(chunk) for chunk in chunks(data, cuts))


@given(st.binary(max_size=50), pieces, st.integers(0, 255), st.binary(max_size=50), cuts_anywhere)
def test_any_bytes_in_any_chunks_pass_unchanged_up_to_the_end_mark(
    greeting: bytes, parts: list[bytes], code: int, after: bytes, cuts: list[int]
) -> None:
    script = b"".join(parts)
    output = Output(STAGE, NONCE)
    passed = feed(output, greeting + BEGIN + script + END + b"%03d\n" % code + after, cuts)
    assert (passed, output.code) == (greeting + script, code)


@given(pieces, cuts_anywhere)
def test_without_an_end_mark_nothing_is_lost_and_there_is_no_verdict(
    parts: list[bytes], cuts: list[int]
) -> None:
    script = b"".join(parts)
    output = Output(STAGE, NONCE)
    passed = feed(output, BEGIN + script, cuts)
    assert (passed + output.rest(), output.code) == (script, None)


@given(pieces, cuts_anywhere)
def test_without_a_begin_mark_all_passes(parts: list[bytes], cuts: list[int]) -> None:
    said = b"".join(parts).replace(BEGIN, b"")
    output = Output(STAGE, NONCE)
    passed = feed(output, said, cuts)
    assert (passed + output.rest(), output.code, output.position) == (said, None, 0)


@given(pieces, st.lists(st.integers(0, 5000), max_size=4), st.binary(max_size=50), cuts_anywhere)
def test_a_stream_cut_anywhere_and_resumed_is_whole(
    parts: list[bytes], lost: list[int], greeting: bytes, cuts: list[int]
) -> None:
    script = b"".join(parts)
    log = script + END + b"007\n"
    output = Output(STAGE, NONCE)
    passed = b""
    before = b""
    for cut in lost:
        passed += feed(output, (before + BEGIN + log[output.position :])[:cut], cuts)
        output.resume()
        before = greeting  # a login shell's, each time anew
    passed += feed(output, before + BEGIN + log[output.position :], cuts)
    assert (passed, output.code) == (script, 7)


@given(st.binary(max_size=200))
def test_no_more_is_held_back_than_the_beginning_of_a_mark(script: bytes) -> None:
    output = Output(STAGE, NONCE)
    assert output.feed(BEGIN) == b""
    passed = b"".join(output.feed(bytes([byte])) for byte in script)
    held = output.rest()
    assert len(passed) + len(held) == len(script)
    assert END.startswith(held)


def test_single_bytes_pass_at_once() -> None:
    output = Output(STAGE, NONCE)
    output.feed(BEGIN)
    assert [output.feed(b"x") for _ in range(3)] == [b"x"] * 3
