"""Guards a text while it is being written: what comes out is what would come out of the whole, as early as it can."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guardrails.compiled import Rules, compiled
from guardrails.fold import DASH, Kind, fold
from guardrails.required import Required
from guardrails.scanning import GAP_LIMIT, NEVER, Span
from guardrails.sentences import Sentences, under_way
from guardrails.splice import START, Splice

if TYPE_CHECKING:
    from guardrails.policy import Action, Direction, Policy

GUARD = "guard"
"""The rule that a decision names when it is the guard itself that failed."""

MOST_CHARACTERS = 20_000
"""Of one answer. What is longer is not said."""

STOPS: frozenset[Action] = frozenset({"stop", "refuse", "hand_over", "end_call"})
"""After these nothing more of an answer is said."""


@dataclass(frozen=True)
class Decision:
    """What a rule did to an answer. Holds none of the words that were kept back.

    Args:
        rule: The rule's id, or `GUARD` where the guard itself failed.
        action: What it did.
        text: What was said instead; "" if nothing.
        start: Number of the first character of the answer that it covers.
        end: Number of the character after the last.
    """

    rule: str
    action: Action
    text: str
    start: int
    end: int


class StreamGuard:
    """Holds one conversation's answers to a policy.

    Feed it an answer in pieces of any size, then `finish` it, or `abort` it when the caller interrupts. The pieces
    together are what the whole answer would have given, however it was split, and nothing is kept back that no
    continuation could forbid. Of every answer the end is remembered as it was heard, so that what is forbidden can't be
    said half in one and half in the next.

    Nothing that goes wrong inside lets anything out: the rest of the answer is not said, and the policy's fallback is.

    Args:
        policy: The rules.
        direction: Which of them: those for what is said, or for what is heard.
        budget: How many characters an answer may have.

    Attributes:
        stopped: Whether the rest of this answer says nothing.
        judges: Whether classifiers are asked, so that it should be fed in a thread.
        failure: What went wrong inside, as the name of an error; None if nothing did.
        required: What has to be said in the conversation, and what of it was heard.
    """

    def __init__(self, policy: Policy, *, direction: Direction = "said", budget: int = MOST_CHARACTERS) -> None:
        self._policy = policy
        self._direction: Direction = direction
        self._rules: Rules = compiled(policy, direction)
        judges = self._rules.judges()
        self._deciding = self._rules.scanners()
        self._scanners = [*self._deciding, *judges]
        self.judges = bool(judges)
        self._budget = budget
        self._next = 0
        self._memory = self._remembered = ""
        self._before: tuple[str, dict[str, int], list[int]] | None = None
        self._under_way = False
        self._decisions: list[Decision] = []
        self.required = Required(self._rules.required)
        self._owed: set[int] = set(self._rules.opening)
        self._ever_inserted: set[int] = set()
        self._exact = self.required.done
        self._recalled = ""
        self._reset()

    def _reset(self) -> None:
        self.stopped = False
        self.failure: str | None = None
        self._buffer: list[str] = []
        self._cover: list[int] = []
        self._base = self._first = self._next
        self._gaps = self._unseen = 0
        self._half = ""
        self._dropped: list[tuple[int, int]] = []
        self._sentences = Sentences()
        self._ended: list[tuple[int, int]] = []
        self._cutting = self._replacing = NEVER
        self._preceded: list[Span] = []
        self._covered = False
        self._within = NEVER
        self._since = 0
        self._tail = START
        self._said: list[str] = []
        self._asides: list[str] = []
        self._inserted: list[int] = []
        self._settled: set[int] = set()

    @property
    def held(self) -> int:
        """How many characters are kept back at the moment."""
        return len(self._buffer)

    @property
    def bound(self) -> int:
        """How many characters can be kept back at most, those that cannot be seen not counted."""
        return self._rules.bound

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What has been decided and not been taken yet, in order."""
        return tuple(self._decisions)

    def take(self) -> list[Decision]:
        """What has been decided since this was last called."""
        taken, self._decisions = self._decisions, []
        return taken

    def feed(self, text: str) -> str:
        """More of the answer.

        Args:
            text: A piece of any length. Half a surrogate pair is joined to the other half in the next piece.

        Returns:
            What may be said now.
        """
        if self.stopped:
            return ""
        try:
            before = "" if self._under_way else self._begin()
            text = self._joined(text)
            left = self._budget - self._place(self._next)
            self._read(text[:left])
            out = before + self._release()
            return out if len(text) <= left else out + self._fail(OverflowError())
        except Exception as error:
            return self._fail(error)

    def finish(self) -> str:
        """The end of the answer. The next `feed` begins another.

        Returns:
            What is left to say.
        """
        if not self._under_way:
            return ""
        rest = ""
        if not self.stopped:
            try:
                for scanner in self._scanners:
                    self._cover_all(scanner.finish())
                self._end_sentence(self._sentences.finish())
                rest = self._release(last=True)
                self._close(self._next)
            except Exception as error:
                rest = self._fail(error)
        self._end("".join(self._said))
        return rest

    def abort(self, heard: str | None = None) -> None:
        """The end of an answer that was interrupted: what is kept back is never said.

        It may have been finished before, and have been cut off while it was spoken.

        Args:
            heard: What of this answer was heard; all that was let out if that is not known.
        """
        if self._under_way:
            self._end("".join(self._said) if heard is None else heard)
        elif heard is not None and self._before is not None:
            self._memory, done, inserted = self._before
            self.required.restore(done)
            self._inserted = inserted
            self._end(heard)

    def recall(self, heard: str) -> None:
        """Begin anew after an interruption, from what was heard of all answers: of some that were let out, nothing may
        have been.

        Args:
            heard: All words since this was last called.
        """
        whole = f"{self._recalled} {heard}".strip()
        self.required.restore(self._exact)
        self.required.heard(whole)
        self._exact = self.required.done
        self._owed |= {rank for rank in self._ever_inserted if self.required.missing(self._rules[rank].id)}
        kept = self._rules.bound
        self._memory = whole[-kept:] if kept else ""
        self._recalled = whole[-max(kept, self.required.longest) :]
        self._before = None
        self._rest()

    def anew(self) -> StreamGuard:
        """A guard that remembers what this one did before the answer under way: for when this one is stuck in it."""
        guard = StreamGuard(self._policy, direction=self._direction, budget=self._budget)
        guard.required.restore(self.required.done)
        guard._owed, guard._ever_inserted = set(self._owed), set(self._ever_inserted)
        guard._exact, guard._recalled, guard._memory = self._exact, self._recalled, self._memory
        guard._remember()
        return guard

    def refuse(self, decision: Decision) -> str:
        """Say a decision's text in place of an answer, or of what is left of it. After that the answer says nothing.

        Returns:
            What may be said now.
        """
        before = "" if self._under_way else self._begin()
        return before + self._break_off(decision.rule, decision.action, decision.text)

    def aside(self, text: str) -> str:
        """Words that are said by themselves, also in the midst of an answer, such as a greeting or a filler.

        Args:
            text: All of them.

        Returns:
            What may be said.
        """
        guard = StreamGuard(self._policy, direction=self._direction, budget=self._budget)
        guard.required, guard._owed, guard._ever_inserted = self.required, self._owed, self._ever_inserted
        guard._memory = self._joined_to("".join(self._said))
        said = guard.feed(text) + guard.finish()
        self._decisions += guard.take()
        if self._under_way:
            self._asides.append(said)
        else:
            self._before, self._memory = guard._before, guard._memory
        return said

    def heard(self, text: str) -> None:
        """Take note of what the caller says: where it begins a topic, the next answer begins with what must be said."""
        self._owed |= self._rules.topics(text)

    def _begin(self) -> str:
        """Begin an answer.

        Returns:
            What must be said first.
        """
        if self._remembered != self._memory:
            self._remember()
        self._remembered = ""
        self._reset()
        self._under_way = True
        out = Splice(self._tail)
        for rank in sorted(self._owed):
            missing = self.required.missing(self._rules[rank].id)
            if missing:
                self._say_first(out, rank, missing, self._next)
        self._owed.clear()
        return self._let_out(out)

    def _remember(self) -> None:
        """Have the scanners see what was heard of the answers before."""
        for scanner in self._scanners:
            scanner.reset()
        before = [fold(char) for char in self._memory]
        if before:
            before.append(DASH)
        for char in before:
            if char.kind is not Kind.IGNORED:
                for scanner in self._deciding:
                    scanner.step(self._next, char)
            self._next += 1
        self._remembered = self._memory

    def _joined_to(self, heard: str) -> str:
        """What is remembered, with what was heard after it."""
        kept = self._rules.bound
        return " ".join([self._memory, *self._asides, heard.strip()]).strip()[-kept:] if kept else ""

    def _end(self, heard: str) -> None:
        self._before = (self._memory, self.required.done, self._inserted)
        self.required.heard(heard)
        self._owed |= {rank for rank in self._inserted if self.required.missing(self._rules[rank].id)}
        self._memory = self._joined_to(heard)
        self._rest()

    def _rest(self) -> None:
        """No answer is under way."""
        self._reset()
        # Now, as nobody waits, and not when the next answer begins.
        self._remember()
        self._under_way = False

    def _joined(self, text: str) -> str:
        """The text with surrogate pairs as the characters that they stand for; lone halves are left out."""
        if self._half:
            text, self._half = self._half + text, ""
        if not text or text.isascii():
            return text
        if "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "ignore")

    def _read(self, text: str) -> None:
        scanners, buffer, cover = self._scanners, self._buffer, self._cover
        sentences = self._rules.sentences
        at = self._next
        for char in text:
            what = fold(char)
            if what.kind is Kind.WORD:
                self._gaps = self._unseen = 0
            elif what.kind is Kind.GAP:
                self._gaps += 1
                self._unseen = 0
            else:
                self._unseen += 1
            if self._gaps > GAP_LIMIT or self._unseen > GAP_LIMIT:
                self._drop(at)
                continue
            buffer.append(char)
            cover.append(NEVER)
            self._next = at + 1
            if sentences:
                self._end_sentence(self._sentences.step(at, char))
            if what.kind is not Kind.IGNORED:
                for scanner in scanners:
                    spans = scanner.step(at, what)
                    if spans:
                        self._cover_all(spans)
            if self._cutting != NEVER or self._replacing != NEVER:
                self._cover_from(at, at + 1, min(self._cutting, self._replacing))
            at += 1

    def _drop(self, at: int) -> None:
        """A character is left out, and so has no number."""
        if not self._dropped or self._dropped[-1][0] != at:
            self._dropped.append((at, self._dropped[-1][1] if self._dropped else 0))
        self._dropped[-1] = (at, self._dropped[-1][1] + 1)

    def _place(self, number: int) -> int:
        """Where in the answer, as it was fed, a character stands."""
        before = bisect_left(self._dropped, (number, 0))
        return number - self._first + (self._dropped[before - 1][1] if before else 0)

    def _cover_all(self, spans: Iterable[Span]) -> None:
        for start, end, rank in spans:
            rule = self._rules[rank]
            if rule.action == "say_first":
                self._preceded.append(Span(start, end, rank))
            elif rule.action == "cut_sentence":
                self._cut(start, end, rank)
            elif rule.action == "replace_sentence":
                self._replace(start, end, rank)
            else:
                self._cover_from(start, end, rank)

    def _cover_from(self, start: int, end: int, rank: int) -> None:
        for number in range(max(start, self._base), end):
            place = number - self._base
            if rank < self._cover[place]:
                self._cover[place] = rank
        self._covered = True

    def _cut(self, start: int, end: int, rank: int) -> None:
        for _, over in self._ended:
            if end <= over:
                self._cover_from(start, over, rank)
                return
        self._cutting = min(self._cutting, rank)
        self._cover_from(start, self._next, rank)

    def _replace(self, start: int, end: int, rank: int) -> None:
        for begin, over in self._ended:
            if begin < end and start < over:
                self._cover_from(begin, over, rank)
        if self._sentences.start < end:
            self._replacing = min(self._replacing, rank)
            self._cover_from(self._sentences.start, self._next, rank)

    def _end_sentence(self, sentence: tuple[int, int] | None) -> None:
        if sentence is not None:
            self._ended.append(sentence)
            self._cutting = self._replacing = NEVER

    def _waiting(self, undecided: int) -> int:
        """The first character that the replacement of its sentence may yet cover."""
        while self._ended and self._ended[0][1] <= self._base:
            del self._ended[0]
        strongest = self._rules.replacing
        if strongest == NEVER:
            return NEVER
        under_way = [(self._sentences.start, self._next)] if self._sentences.start != NEVER else []
        for begin, over in [*(one for one in self._ended if undecided < one[1]), *under_way]:
            for number in range(max(begin, self._base), over):
                if self._cover[number - self._base] > strongest:
                    return number
        return NEVER

    def _release(self, *, last: bool = False) -> str:
        undecided = strongest = NEVER
        if not last:
            for scanner in self._scanners:
                if scanner.open != NEVER:
                    undecided = min(undecided, scanner.open)
                    strongest = min(strongest, scanner.open_rank)
        waiting = self._waiting(undecided) if self._rules.sentences else NEVER
        out = Splice(self._tail)
        if self._covered or self._preceded or self._within != NEVER:
            done = self._sift(out, undecided, strongest, waiting)
        else:
            done = max(0, min(undecided, waiting, self._next) - self._base)
            out.add("".join(self._buffer[:done]))
        del self._buffer[:done], self._cover[:done]
        self._base += done
        self._covered = self._covered and bool(self._buffer)
        return self._let_out(out)

    def _let_out(self, out: Splice) -> str:
        said = out.text
        self._tail = out.tail
        self._said.append(said)
        return said

    def _sift(self, out: Splice, undecided: int, strongest: int, waiting: int) -> int:
        """Let out what is clear, and say what takes the place of what isn't.

        Args:
            out: Where to.
            undecided: The first character that something might yet cover.
            strongest: The strongest rule that might.
            waiting: The first character of a sentence that is not decided as a whole.

        Returns:
            How many characters have been dealt with.
        """
        for place, (char, rank) in enumerate(zip(self._buffer, self._cover, strict=True)):
            number = self._base + place
            if rank == NEVER:
                if self._within != NEVER and fold(char).kind is Kind.IGNORED:
                    continue  # what cannot be seen goes with the character before it
                if number >= undecided or number >= waiting:
                    return place
                self._close(number)
                self._say_before(out, number)
                out.add(char)
                continue
            if number >= waiting or (number >= undecided and strongest < min(rank, self._within)):
                return place  # a stronger rule may take its place
            rule = self._rules[rank]
            if self._within == NEVER or (rank < self._within and rule.action != "redact"):
                self._close(number)
                if rule.action in STOPS:
                    self._stop(out, rule.id, rule.action, rule.text, number)
                    return len(self._buffer)
                self._within, self._since = rank, number
                out.instead(rule.text, breaks=rule.action == "cut_sentence")
        return len(self._buffer)

    def _close(self, number: int) -> None:
        """What was covered ends before a character."""
        if self._within != NEVER:
            rule = self._rules[self._within]
            self._decide(rule.id, rule.action, rule.text, self._since, number)
            self._within = NEVER

    def _decide(self, rule: str, action: Action, text: str, start: int, end: int) -> None:
        self._decisions.append(Decision(rule, action, text, self._place(start), self._place(end)))

    def _say_before(self, out: Splice, number: int) -> None:
        """What must be said before the words that this is the first to be heard of; their sentence begins anew."""
        due = [span for span in self._preceded if span.start <= number]
        self._preceded = [span for span in self._preceded if span.start > number]
        for _, end, rank in due:
            if rank in self._settled or end <= number:
                continue
            self._settled.add(rank)
            said = "".join(self._said) + out.text
            missing = self.required.missing(self._rules[rank].id, said)
            if missing:
                begun = under_way(said)
                self._say_first(out, rank, missing, number)
                out.add(begun)

    def _say_first(self, out: Splice, rank: int, lines: list[str], number: int) -> None:
        rule = self._rules[rank]
        text = " ".join(lines)
        self._decide(rule.id, rule.action, text, number, number)
        self._inserted.append(rank)
        self._ever_inserted.add(rank)
        out.sentence(text)

    def _stop(self, out: Splice, rule: str, action: Action, text: str, number: int) -> None:
        text = text or self._policy.fallback
        self.stopped = True
        self._decide(rule, action, text, number, number)
        out.instead(text, breaks=True)

    def _fail(self, error: Exception) -> str:
        self.failure = type(error).__name__
        return self._break_off(GUARD, "stop", "")

    def _break_off(self, rule: str, action: Action, text: str) -> str:
        """Say a text in the place of all that is kept back and of what would follow."""
        out = Splice(self._tail)
        self._buffer, self._cover, self._within = [], [], NEVER
        self._stop(out, rule, action, text, self._next)
        return self._let_out(out)
