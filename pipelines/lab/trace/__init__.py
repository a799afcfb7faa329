"""The record of a conversation, from which every stage of it can be looked at and run again.

`tracing` writes one, `Trace` reads it and `page` shows it. A trace is a folder: `meta.json`, `events.jsonl`, and the
caller and what was played as `in.flac` (16 kHz) and `out.flac` (24 kHz), on one time axis.
"""

from pipelines.lab.trace.event import Event
from pipelines.lab.trace.html import page
from pipelines.lab.trace.meta import Meta
from pipelines.lab.trace.observer import TraceObserver, tracing
from pipelines.lab.trace.reader import Trace, TracedTurn, TraceError
from pipelines.lab.trace.redact import Redactor, redact

__all__ = [
    "Event",
    "Meta",
    "Redactor",
    "Trace",
    "TraceError",
    "TraceObserver",
    "TracedTurn",
    "page",
    "redact",
    "tracing",
]
