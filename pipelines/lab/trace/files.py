"""The files of a trace, written in one thread as the conversation goes."""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

from pipelines.lab.trace.event import Event
from pipelines.lab.trace.flac import FlacWriter, Pcm
from pipelines.lab.trace.meta import INPUT_RATE, OUTPUT_RATE, Meta

REMEMBERED = 512
"""Frames whose payload need not be written again when they are passed on."""


class Files:
    """Writes meta, events and both voices into a folder. An event is with the operating system once it is noted.

    Args:
        folder: Exists and is empty.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._heard = FlacWriter(folder / "in.flac", INPUT_RATE)
        self._played = FlacWriter(folder / "out.flac", OUTPUT_RATE)
        self._events = (folder / "events.jsonl").open("w", encoding="utf-8", buffering=1)
        self._payloads: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self._messages: list[Any] = []

    def describe(self, meta: Meta) -> None:
        """Write `meta.json`: all of it or nothing."""
        whole = self._folder / "meta.json.part"
        whole.write_text(meta.model_dump_json(indent=2) + "\n", encoding="utf-8")
        whole.replace(self._folder / "meta.json")

    def hear(self, samples: Pcm) -> None:
        """Go on with the caller's voice, at 16 kHz."""
        self._heard.write(samples)

    def play(self, samples: Pcm) -> None:
        """Go on with what is played, at 24 kHz."""
        self._played.write(samples)

    def note(self, event: Event) -> None:
        """Write an event, without what was written before."""
        line = event.model_dump(exclude={"payload"})
        line["at"] = round(event.at, 6)
        if not event.up:
            del line["up"]
        if event.payload is not None and self._payloads.get(event.frame) != event.payload:
            self._payloads[event.frame] = event.payload
            self._payloads.move_to_end(event.frame)
            if len(self._payloads) > REMEMBERED:
                self._payloads.popitem(last=False)
            line["payload"] = self._shorter(event.payload)
        self._events.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")

    def _shorter(self, payload: dict[str, Any]) -> dict[str, Any]:
        messages = payload.get("messages")
        if not isinstance(messages, list):
            return payload
        kept = 0
        for before, now in zip(self._messages, messages, strict=False):
            if before != now:
                break
            kept += 1
        self._messages = messages
        return {**payload, "kept": kept, "messages": messages[kept:]}

    def close(self) -> None:
        """Finish all files."""
        self._heard.close()
        self._played.close()
        self._events.close()


class Payloads:
    """Puts back what `Files.note` left out, line by line."""

    def __init__(self) -> None:
        self._payloads: dict[int, dict[str, Any]] = {}
        self._messages: list[Any] = []

    def whole(self, event: Event) -> Event:
        """The event with all of its payload."""
        if event.payload is None:
            event.payload = self._payloads.get(event.frame)
            return event
        if "kept" in event.payload:
            kept = event.payload.pop("kept")
            self._messages = [*self._messages[:kept], *event.payload["messages"]]
            event.payload["messages"] = self._messages
        self._payloads[event.frame] = event.payload
        return event
