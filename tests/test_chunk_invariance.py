"""The outside package `chunk-invariance`, which knows nothing of ours, holds the guard to every split of samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from chunk_invariance import ChunkInvarianceError, assert_chunk_invariant, per_chunk

from guardrails import policy as policies
from guardrails.check import check
from guardrails.policy import Policy
from guardrails.stream import StreamGuard
from tests.guarded import HIDDEN, patterns, personal, policy, terms

POLICY = policy(
    personal("card", "ssn", "email", "phone", "iban"),
    patterns(r"sk-[a-z0-9]{16,}", r"\bakia[a-z0-9]{16}\b", r"ghp_[a-z0-9]{36}"),
    terms("password", "guarante*"),
)

SAMPLES = (
    # The package's own, all of them synthetic; then ours.
    "Contact jane.doe@example.com about the invoice.",
    "SSN on file: 123-45-6789 (fake).",
    "Card 4111 1111 1111 1111 exp 12/30 (test card).",
    "Use key sk-FAKEab12cd34ef56gh78 for the demo.",
    "aws_access_key_id = AKIAIOSFODNN7EXAMPLE",
    "token ghp_EXAMPLENOTAREALGITHUBTOKEN0000000000 ok",
    "It is four one one one, one one one one, one one one one, one one one one.",
    "A p.a.s.s.w.o.r.d, a раss\u200bword: 👩\u200d👧 guaranteed!",
    "Mail jane dot doe at example dot com.",
)
SHORT = ("the password ok", "a pa\u0301ss-word!", "123-45-6789 a", "(a@b.com) ok", "guaranteed 😀")


def streamed(pieces: Iterable[str]) -> Iterator[str]:
    """What the guard lets out of pieces, one for one."""
    guard = StreamGuard(POLICY)
    for piece in pieces:
        yield guard.feed(piece)
    yield guard.finish()


def whole(text: str) -> str:
    """What it gives for all of a text at once."""
    return check(POLICY, text, direction="said").text


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_split_in_three_gives_what_the_whole_gives(sample: str) -> None:
    assert HIDDEN in whole(sample)
    assert assert_chunk_invariant(streamed, whole, sample, splits=3) > 100


@pytest.mark.parametrize("sample", SHORT)
def test_every_split_of_a_short_text_gives_what_the_whole_gives(sample: str) -> None:
    assert HIDDEN in whole(sample)
    assert assert_chunk_invariant(streamed, whole, sample, splits="all") == 2 ** (len(sample) - 1)


@pytest.mark.parametrize("name", policies.names())
def test_the_policies_that_ship_are_invariant(name: str) -> None:
    shipped: Policy = policies.load(name)

    def guarded(pieces: Iterable[str]) -> Iterator[str]:
        guard = StreamGuard(shipped)
        for piece in pieces:
            yield guard.feed(piece)
        yield guard.finish()

    claims = "Guaranteed returns of 7%. You have diabetes. I promise a refund, sir."
    for sample in SAMPLES[2], SAMPLES[6], claims, "You should buy bonds\nOk.", "Stocks? You should buy bonds now. Ok.":
        assert_chunk_invariant(guarded, lambda text: check(shipped, text, direction="said").text, sample, splits=2)


def test_the_package_does_find_a_guard_that_checks_piece_by_piece() -> None:
    leaky = per_chunk(lambda piece, state: whole(piece))
    with pytest.raises(ChunkInvarianceError):
        assert_chunk_invariant(leaky, whole, SAMPLES[1])
