"""Holds back what is said until its words are known, so that nothing personal reaches the disk.

Each side's speech comes in stretches: the caller's from the first sound of a turn to the decision that it is over, the
agent's from the first text of an answer until it has been played. When a stretch is over, all its texts are judged
together, and what is then written has neither the words nor the sound of what was taken out. A process that is killed
takes what it held back with it.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipelines.lab.trace.event import Event
from pipelines.lab.trace.files import Files
from pipelines.lab.trace.flac import Pcm
from pipelines.lab.trace.memory import REDACTED, WITHHELD, Memory
from pipelines.lab.trace.meta import INPUT_RATE, OUTPUT_RATE
from pipelines.lab.trace.redact import Redactor

LONGEST_SECS = 60.0
"""How long a stretch may be. What is longer is silenced, and its text withheld, unless its words are all known."""

BEFORE_SECS = 3.0
"""How much of the caller's quiet is held back: speech is noticed late."""

LEAD_SECS = 0.5
"""Before the moment at which the caller's speech was noticed to have begun."""

MARGIN_SECS = 0.2
"""Around a word of the agent's."""

TAIL_SECS = 0.5
"""After an answer was cut off, what is still played belongs to it."""

TWINS = 2048

PROVISIONAL = frozenset(("InterimTranscriptionFrame", "EagerTranscriptionFrame", "UserTurnSoFarFrame"))
CALLER = PROVISIONAL | {"TranscriptionFrame", "UserBackchannelFrame"}
AGENT = frozenset(("LLMTextFrame", "VisionTextFrame", "AggregatedTextFrame", "TTSTextFrame", "TTSSpeakFrame"))

_DEEP = frozenset(("arguments", "calls", "messages", "result"))
_NAMES = frozenset(("call", "category", "id", "kind", "name", "processor", "role", "tool_call_id", "type"))


class HeldAudio:
    """The end of a stream, of which what is before it has been written.

    Args:
        rate: Hz.
        write: Takes what is let go.
    """

    def __init__(self, rate: int, write: Callable[[Pcm], None]) -> None:
        self._rate = rate
        self._write = write
        self._pieces: list[Pcm] = []
        self._begin = 0
        self.length = 0

    def add(self, samples: Pcm) -> None:
        """Go on."""
        if len(samples):
            self._pieces.append(samples)
            self.length += len(samples)

    def silence(self, begin: float, end: float) -> None:
        """Silence what is held between two moments, in seconds from the conversation's begin."""
        whole = self._joined()
        first = max(0, math.floor(begin * self._rate) - self._begin)
        last = max(0, math.ceil(end * self._rate) - self._begin)
        if first < last:
            whole = whole.copy()
            whole[first:last] = 0
        self._pieces = [whole]

    def release(self, keep: float = 0.0) -> None:
        """Let everything go but the last `keep` seconds."""
        count = self.length - self._begin - round(keep * self._rate)
        if count <= 0:
            return
        whole = self._joined()
        self._write(whole[:count])
        self._pieces = [whole[count:]]
        self._begin += count

    def _joined(self) -> Pcm:
        return np.concatenate(self._pieces) if self._pieces else np.zeros(0, np.int16)


@dataclass
class Entry:
    """An event that may have to wait, and what of it will be written."""

    event: Event
    stretch: Stretch | None = None
    twin: Entry | None = None
    payload: dict[str, Any] | None = None
    judged: bool = False


@dataclass
class Utterance:
    """Speech of the caller without a pause. Seconds from the conversation's begin."""

    begin: float
    end: float | None = None
    known: bool = False


@dataclass
class Stretch:
    """What is judged together. Times are seconds from the conversation's begin.

    Args:
        begin: Where its sound may begin.
        opened: When it was begun.
        entries: Its events with words.
        utterances: The caller's speech.
        sound: When the agent's voice was heard.
        silences: What of it has been found to be personal.
        continues: Whether it is the rest of an answer whose words were judged before.
        judged: Whether it is over.
    """

    begin: float
    opened: float
    entries: list[Entry] = field(default_factory=list)
    utterances: list[Utterance] = field(default_factory=list)
    sound: tuple[float, float] | None = None
    silences: list[tuple[float, float]] = field(default_factory=list)
    continues: bool = False
    judged: bool = False

    def texts(self, *kinds: str) -> list[Entry]:
        """Entries of these kinds that have a text."""
        return [entry for entry in self.entries if entry.event.kind in kinds and entry.event.text]


class Hold:
    """The outlet that lets nothing personal through.

    Args:
        files: Where everything goes.
        redactor: Takes personal data out of one text.
    """

    def __init__(self, files: Files, redactor: Redactor) -> None:
        self._files = files
        self._memory = Memory(redactor)
        self._heard = HeldAudio(INPUT_RATE, files.hear)
        self._played = HeldAudio(OUTPUT_RATE, files.play)
        self._waiting: deque[Entry] = deque()
        self._twins: OrderedDict[int, Entry] = OrderedDict()
        self._caller: Stretch | None = None
        self._agent: Stretch | None = None
        self._responding = False
        self._speaking = False
        self._ended = -TAIL_SECS
        self._ended_clean = True

    # --- both voices ---

    def hear(self, samples: Pcm) -> None:
        """Take some of the caller's audio."""
        self._heard.add(samples)
        now = self._heard.length / INPUT_RATE
        if self._caller is None:
            self._heard.release(BEFORE_SECS)
        elif now - self._caller.opened > LONGEST_SECS:
            self._judge_caller(now, withhold=True)

    def play(self, samples: Pcm, *, speech: bool = False) -> None:
        """Take some of what is played."""
        begin = self._played.length / OUTPUT_RATE
        if speech and self._agent is None:
            if begin - self._ended < TAIL_SECS:
                samples = samples if self._ended_clean else np.zeros_like(samples)
            else:
                self._agent = Stretch(begin, begin)
        self._played.add(samples)
        now = self._played.length / OUTPUT_RATE
        if self._agent is None:
            self._played.release()
            return
        if speech:
            first = self._agent.sound[0] if self._agent.sound else begin
            self._agent.sound = (first, now)
        if now - self._agent.opened > LONGEST_SECS:
            self._judge_agent(now, withhold=self._responding)

    # --- events ---

    def note(self, event: Event) -> None:
        """Take an event."""
        entry = Entry(event)
        before = self._twins.get(event.frame)
        if before is not None and before.event.payload == event.payload:
            entry.twin, entry.stretch = before, before.stretch
        else:
            self._twins[event.frame] = entry
            if len(self._twins) > TWINS:
                self._twins.popitem(last=False)
            self._assign(entry)
        self._waiting.append(entry)
        if entry.twin is None and event.way == "out":
            self._follow(event)
        self._write()

    def _assign(self, entry: Entry) -> None:
        event = entry.event
        if event.kind in CALLER:
            if self._caller is None:
                self._caller = Stretch(event.at - BEFORE_SECS, event.at)
            if event.kind == "TranscriptionFrame" and event.text:
                for utterance in self._caller.utterances:
                    utterance.known = True
            entry.stretch = self._caller
        elif event.kind == "LLMContextFrame":
            entry.stretch = self._caller
        elif event.kind in AGENT:
            entry.stretch = self._open_agent(event.at)
        if entry.stretch is not None:
            entry.stretch.entries.append(entry)

    def _open_agent(self, at: float) -> Stretch:
        if self._agent is None:
            self._agent = Stretch(at, at)
        return self._agent

    def _follow(self, event: Event) -> None:
        """Open and close stretches."""
        at, kind, payload = event.at, event.kind, event.payload or {}
        if kind == "VADUserStartedSpeakingFrame":
            begin = at - float(payload.get("start_secs", 0.0)) - LEAD_SECS
            self._caller = self._caller or Stretch(begin, at)
            self._caller.utterances.append(Utterance(begin))
        elif kind == "VADUserStoppedSpeakingFrame":
            if self._caller is not None and self._caller.utterances:
                self._caller.utterances[-1].end = at
        elif kind == "UserStoppedSpeakingFrame":
            self._judge_caller(at)
        elif kind == "LLMFullResponseStartFrame":
            self._responding = True
            self._open_agent(at)
        elif kind == "LLMFullResponseEndFrame":
            self._responding = False
            if self._agent is not None and self._agent.sound and not self._speaking:
                self._judge_agent(at)
        elif kind == "BotStartedSpeakingFrame":
            self._speaking = True
        elif kind == "BotStoppedSpeakingFrame":
            self._speaking = False
            if not self._responding:
                self._judge_agent(at)
        elif kind == "InterruptionFrame":
            self._responding = False
            if not self._speaking:
                self._judge_agent(at)

    def _write(self) -> None:
        while self._waiting and ((stretch := self._waiting[0].stretch) is None or stretch.judged):
            entry = self._waiting.popleft()
            self._files.note(entry.event.model_copy(update={"payload": self._payload(entry)}))

    def _payload(self, entry: Entry) -> dict[str, Any] | None:
        first = entry.twin or entry
        if not first.judged:
            first.payload, first.judged = self._cleaned(first.event), True
        return first.payload

    # --- judging ---

    def _judge_caller(self, now: float, *, withhold: bool = False) -> None:
        stretch, self._caller = self._caller, None
        if stretch is None:
            return
        texts = stretch.texts(*CALLER)
        finals = stretch.texts("TranscriptionFrame")
        learnt = [self._memory.learn(entry.event.text) for entry in texts]
        learnt.append(self._memory.learn(" ".join(entry.event.text for entry in finals)))
        personal = any(learnt) or any(self._memory.clean(entry.event.text) != entry.event.text for entry in texts)
        self._rewrite(finals, " ")
        for entry in stretch.entries:
            if withhold:
                self._withhold(entry)
            elif personal:
                self._blank_provisional(entry)
        if personal or withhold:
            self._heard.silence(stretch.begin, max(now, self._heard.length / INPUT_RATE))
        for utterance in stretch.utterances:
            if not utterance.known:
                self._heard.silence(utterance.begin, now if utterance.end is None else utterance.end)
        stretch.judged = True
        if stretch.utterances and stretch.utterances[-1].end is None:
            self._caller = Stretch(now - LEAD_SECS, now, utterances=[Utterance(now - LEAD_SECS)])
        self._heard.release(BEFORE_SECS)
        self._write()

    def _judge_agent(self, now: float, *, withhold: bool = False) -> None:
        stretch, self._agent = self._agent, None
        if stretch is None:
            return
        tokens = stretch.texts("LLMTextFrame", "VisionTextFrame")
        clauses = stretch.texts("AggregatedTextFrame", "TTSSpeakFrame")
        words = stretch.texts("TTSTextFrame")
        streams = [(tokens, ""), (clauses, " "), (words, " ")]
        for entries, between in streams:
            self._memory.learn(between.join(entry.event.text for entry in entries))
        changed = [self._rewrite(entries, between) for entries, between in streams]
        for entry in stretch.entries if withhold else ():
            self._withhold(entry)
        personal = any(map(any, changed))
        silences = [*stretch.silences, *_times(words, changed[2])]
        if withhold or (personal and not silences) or not (tokens or clauses or words or stretch.continues):
            silences = [(stretch.begin, math.inf)]
        until = self._played.length / OUTPUT_RATE
        for begin, end in silences:
            self._played.silence(begin - MARGIN_SECS, min(end + MARGIN_SECS, until))
        stretch.judged = True
        self._ended, self._ended_clean = now, not (withhold or personal)
        if self._speaking and stretch.sound is not None:
            self._agent = Stretch(now, now, silences=silences, continues=True)
        self._played.release()
        self._write()

    def _rewrite(self, entries: Sequence[Entry], between: str) -> list[bool]:
        """Judge entries whose texts make one; return which of them were changed."""
        cleaned = self._memory.clean_pieces([entry.event.text for entry in entries], between)
        for entry, text in zip(entries, cleaned, strict=True):
            entry.payload = self._cleaned(entry.event, text)
            entry.judged = True
        return [entry.event.text != text for entry, text in zip(entries, cleaned, strict=True)]

    def _blank_provisional(self, entry: Entry) -> None:
        """What was guessed on the way to words that were taken out has parts of them that nothing could tell."""
        if entry.event.kind in PROVISIONAL:
            entry.payload, entry.judged = self._cleaned(entry.event, REDACTED), True
        elif entry.event.kind == "LLMContextFrame" and (entry.event.payload or {}).get("speculation"):
            payload = self._cleaned(entry.event) or {}
            payload["messages"] = [*payload["messages"][:-1], {"role": "user", "content": REDACTED}]
            entry.payload, entry.judged = payload, True

    def _withhold(self, entry: Entry) -> None:
        entry.payload, entry.judged = self._cleaned(entry.event, WITHHELD), True
        if entry.event.kind == "LLMContextFrame":
            entry.payload = {"messages": [], "withheld": True}

    def _cleaned(self, event: Event, text: str | None = None) -> dict[str, Any] | None:
        """An event's payload without what is personal in it, with another text if one is given."""
        if event.payload is None or event.kind == "MetricsFrame":
            return event.payload
        payload = {}
        for key, value in event.payload.items():
            if key in _DEEP:
                payload[key] = self._deeply(value, names=key in ("calls", "messages"))
            else:
                payload[key] = self._memory.clean(value) if isinstance(value, str) and key not in _NAMES else value
        if text is not None and text != event.text:
            payload["text"] = text
            if payload.get("raw_text"):
                payload["raw_text"] = text
        return payload

    def _deeply(self, value: Any, *, names: bool) -> Any:
        if isinstance(value, str):
            return self._memory.clean(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return value if self._memory.clean(str(value)) == str(value) else self._memory.clean(str(value))
        if isinstance(value, list):
            return [self._deeply(inner, names=names) for inner in value]
        if isinstance(value, dict):
            return {
                key: inner
                if names and key in _NAMES and isinstance(inner, str)
                else self._deeply(inner, names=names and key != "arguments")
                for key, inner in value.items()
            }
        return value

    def end(self) -> None:
        """Judge what is left and let everything go."""
        self._judge_caller(self._heard.length / INPUT_RATE)
        self._speaking = False
        self._judge_agent(self._played.length / OUTPUT_RATE)
        self._judge_caller(self._heard.length / INPUT_RATE)
        self._heard.release()
        self._played.release()
        self._write()


def _times(words: Sequence[Entry], changed: Sequence[bool]) -> list[tuple[float, float]]:
    """When the changed words are heard: from each one's begin to the next word's. Words without a time have none."""
    times = [(entry.event.payload or {}).get("at") for entry in words]
    spans = []
    for n, (at, hit) in enumerate(zip(times, changed, strict=True)):
        if hit and at is not None:
            spans.append((at, next((later for later in times[n + 1 :] if later is not None), math.inf)))
    return spans
