"""A trace as one page that needs nothing else: both voices, their words, what every stage did and when."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable
from itertools import dropwhile
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.lab.cost import CostLedger
from pipelines.lab.page import filled, style
from pipelines.lab.trace.event import Event
from pipelines.lab.trace.meta import INPUT_RATE, OUTPUT_RATE
from pipelines.lab.trace.reader import Trace, TracedTurn
from processors.pcm import Samples

PEAKS_PER_SEC = 50
JOINED = frozenset(("LLMTextFrame", "VisionTextFrame"))
"""Texts that make one when put one behind the other."""

ASIDE = frozenset(("ErrorFrame", "InterruptionFrame", "MetricsFrame", "OutputTransportReadyFrame"))
"""What says nothing of when a stage was at work."""

ENDS = frozenset(
    ("BotStoppedSpeakingFrame", "LLMContextAssistantTurnFrame", "LLMFullResponseEndFrame", "TTSStoppedFrame")
)
"""What ends the work of the turn before, if it comes first in a turn."""


def page(trace: Trace) -> str:
    """The page's HTML. It loads nothing, not even from its own folder.

    Raises:
        TraceError: If the trace cannot be read.
    """
    folder = Path(__file__).parent
    data = json.dumps(_content(trace), ensure_ascii=False, separators=(",", ":"))
    parts = {
        "TITLE": html.escape(f"{trace.meta.architecture or 'conversation'} · {trace.folder.name}"),
        "STYLE": style(folder / "page.css"),
        "SCRIPT": (folder / "page.js").read_text(encoding="utf-8"),
        "DATA": data.replace("<", "\\u003c"),
    }
    return filled(folder / "page.html", parts)


def _content(trace: Trace) -> dict[str, Any]:
    meta = trace.meta
    stages = [stage.name for stage in meta.stages] or sorted({event.stage for event in trace.events})
    return {
        "name": trace.folder.name,
        "begun": meta.begun,
        "architecture": meta.architecture,
        "persona": str(meta.persona.get("name", "Agent")),
        "services": meta.services,
        "versions": meta.versions,
        "redacted": meta.redacted,
        "duration": round(trace.duration, 3),
        "damage": list(trace.damage),
        "peaks": {
            "rate": PEAKS_PER_SEC,
            "caller": _peaks(trace.heard, INPUT_RATE),
            "agent": _peaks(trace.played, OUTPUT_RATE),
        },
        "utterances": _utterances(trace.events),
        "answers": _answers(trace.events),
        "interruptions": [round(turn.begin, 3) for turn in trace.turns if turn.interrupts],
        "stages": stages,
        "cost": trace.cost.told() if trace.cost.charges else "",
        "turns": [{**_turn(turn, stages), "cost": _cost(trace.cost, turn.number)} for turn in trace.turns],
        "before": _bars(_before(trace), stages),
    }


def _peaks(samples: Samples, rate: int) -> str:
    """The loudest sample of each fiftieth of a second, as bytes of full scale, in base64."""
    window = rate // PEAKS_PER_SEC
    padded = np.pad(np.abs(samples), (0, -len(samples) % window))
    peaks = padded.reshape(-1, window).max(axis=1) if len(padded) else padded
    return base64.b64encode(np.ceil(255 * np.minimum(peaks, 1)).astype(np.uint8).tobytes()).decode("ascii")


def _before(trace: Trace) -> list[Event]:
    first = trace.turns[0].begin if trace.turns else float("inf")
    return [event for event in trace.events if event.at < first]


def _utterances(events: Iterable[Event]) -> list[dict[str, Any]]:
    """The caller's words, where they were spoken."""
    found: list[dict[str, Any]] = []
    begin: float | None = None
    end: float | None = None
    for event in events:
        payload = event.payload or {}
        if event.kind == "VADUserStartedSpeakingFrame" and event.way == "out":
            begin, end = event.at - float(payload.get("start_secs", 0.0)), None
        elif event.kind == "VADUserStoppedSpeakingFrame" and event.way == "out":
            end = event.at - float(payload.get("stop_secs", 0.0))
        elif event.kind == "TranscriptionFrame" and event.way == "out" and event.text:
            until = end if end is not None else event.at
            start = begin if begin is not None else until
            found.append({"begin": round(start, 3), "end": round(max(until, start), 3), "text": event.text})
            begin = None
    return found


def _answers(events: Iterable[Event]) -> list[dict[str, Any]]:
    """The agent's words from when it began to speak until it stopped, and those that were not heard."""
    found: list[dict[str, Any]] = []
    ready: dict[int, Event] = {}
    for event in events:
        if event.kind == "TTSTextFrame" and event.way == "out":
            if event.stage == "AUDIO_OUT":
                ready.pop(event.frame, None)
                at = (event.payload or {}).get("at")
                word = {"at": round(event.at if at is None else at, 3), "text": event.text}
                if found and found[-1]["end"] is None:
                    found[-1]["words"].append(word)
                else:
                    found.append({"begin": word["at"], "end": None, "words": [word], "unheard": ""})
            else:
                ready[event.frame] = event
        elif event.kind == "BotStartedSpeakingFrame" and (not found or found[-1]["end"] is not None):
            found.append({"begin": round(event.at, 3), "end": None, "words": [], "unheard": ""})
        elif event.kind == "BotStoppedSpeakingFrame" and found and found[-1]["end"] is None:
            found[-1]["end"] = round(event.at, 3)
            found[-1]["unheard"] = " ".join(late.text for late in ready.values() if late.text)
            ready.clear()
    for answer in found:
        answer["end"] = answer["end"] if answer["end"] is not None else round(answer["words"][-1]["at"] + 0.3, 3)
    return found


def _turn(turn: TracedTurn, stages: list[str]) -> dict[str, Any]:
    total = turn.marks.total_ms
    return {
        "number": turn.number,
        "begin": round(turn.begin, 3),
        "end": round(turn.end, 3),
        "transcript": turn.transcript,
        "answer": turn.answer,
        "interrupts": turn.interrupts,
        "errors": turn.errors,
        "speech_end": None if turn.marks.speech_end is None else round(turn.marks.speech_end, 3),
        "heard": None if turn.marks.heard is None else round(turn.marks.heard, 3),
        "total": None if total is None else round(total),
        "parts": [{"name": part.name, "ms": round(part.ms, 1), "by": part.by} for part in turn.marks.parts()],
        "asides": turn.marks.asides(),
        "bars": _bars(turn.events, stages),
    }


def _cost(ledger: CostLedger, turn: int) -> str:
    return ledger.told(turn) if ledger.services(turn) else ""


def _bars(events: Iterable[Event], stages: list[str]) -> list[dict[str, Any]]:
    """When each stage was at work, and what it took and gave."""
    by_stage: dict[str, list[Event]] = {stage: [] for stage in stages}
    for event in events:
        if event.stage in by_stage and not event.kind.endswith("MetadataFrame"):
            by_stage[event.stage].append(event)
    bars = []
    for stage, own in by_stage.items():
        work = [*dropwhile(lambda event: event.kind in ENDS, (event for event in own if event.kind not in ASIDE))]
        if work:
            bars.append(
                {
                    "stage": stage,
                    "begin": round(work[0].at, 3),
                    "end": round(work[-1].at, 3),
                    "rows": _rows(own),
                }
            )
    return bars


def _rows(events: Iterable[Event]) -> list[dict[str, Any]]:
    """What a stage took and gave, with what belongs together on one row."""
    rows: list[dict[str, Any]] = []
    last: dict[str, dict[str, Any]] = {}
    for event in events:
        payload = dict(event.payload or {})
        text = event.text
        kind = event.kind.removesuffix("Frame")
        row = last.get(event.way)
        if row is not None and row["kind"] == kind and event.kind in (*JOINED, "TTSTextFrame", "TTSAudioRawFrame"):
            row["count"] += 1
            row["until"] = round(event.at, 3)
            row["text"] += text if event.kind in JOINED else f" {text}" if text else ""
            if "to" in payload:
                row["text"] = _range(row["from"], payload)
            continue
        row = {"at": round(event.at, 3), "way": event.way, "kind": kind, "text": text, "count": 1}
        if "from" in payload:
            row["from"] = payload["from"]
            row["text"] = _range(payload["from"], payload)
        elif "messages" in payload:
            row["messages"] = [_message(message) for message in payload["messages"]]
            row["text"] = "ahead of the end of the turn" if payload.get("speculation") else ""
        elif not text:
            row["text"] = _said(payload)
        rows.append(row)
        last[event.way] = row
    return rows


def _range(begin: int, payload: dict[str, Any]) -> str:
    return f"samples {begin:,} to {payload['to']:,} at {payload['rate']:,} Hz"


def _message(message: Any) -> dict[str, str]:
    if not isinstance(message, dict):
        return {"role": "", "text": str(message)}
    content = message.get("content")
    text = content if isinstance(content, str) else json.dumps(content or message.get("tool_calls"), ensure_ascii=False)
    return {"role": str(message.get("role", "")), "text": text}


def _said(payload: dict[str, Any]) -> str:
    if "metrics" in payload:
        return "; ".join(_metric(metric) for metric in payload["metrics"])
    known = {key: value for key, value in payload.items() if value is not None and value != ""}
    return ", ".join(f"{key} {value}" for key, value in known.items())


def _metric(metric: dict[str, Any]) -> str:
    name = str(metric.get("kind", "")).removesuffix("MetricsData")
    value = metric.get("value", metric.get("ttfa", metric.get("ttfat")))
    if isinstance(value, dict):
        return f"{name} " + ", ".join(f"{key} {number}" for key, number in value.items())
    return f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value}"
