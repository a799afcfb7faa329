"""Frames made again from what a trace holds of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    AggregatedTextFrame,
    EagerEndOfTurnCancelFrame,
    EagerTranscriptionFrame,
    Frame,
    FunctionCallCancelFrame,
    FunctionCallFromLLM,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    FunctionCallsStartedFrame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    LLMContextFrame,
    LLMContextUserTurnFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMRunFrame,
    LLMTextFrame,
    STTMetadataFrame,
    TranscriptionFrame,
    TTSSpeakFrame,
    UserBackchannelFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    UserTurnInferenceCompletedFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext

from pipelines.lab.script import CallerSays
from pipelines.lab.scripted import CallerSpeechFrame
from pipelines.lab.trace import Event
from processors.guarding.frames import UnclearedTextFrame
from processors.hearing.cues import Cue, Score
from processors.hearing.frames import CueFrame
from processors.speaking.delivery import Delivery
from processors.speaking.frames import DeliveryTagFrame
from processors.speaking.tags import Pause
from processors.turns.frames import SpeechPausedFrame, SpeechResumedFrame, UserTurnSoFarFrame

Payload = dict[str, Any]

BUILDERS: dict[str, Callable[[Payload], Frame]] = {
    "VADUserStartedSpeakingFrame": lambda p: VADUserStartedSpeakingFrame(
        start_secs=p["start_secs"], timestamp=time.time()
    ),
    "VADUserStoppedSpeakingFrame": lambda p: VADUserStoppedSpeakingFrame(
        stop_secs=p["stop_secs"], timestamp=time.time()
    ),
    "STTMetadataFrame": lambda p: STTMetadataFrame(service_name=p["service"], ttfs_p99_latency=p["wait"]),
    "SpeechPausedFrame": lambda p: SpeechPausedFrame(silence=p["silence"]),
    "SpeechResumedFrame": lambda p: SpeechResumedFrame(),
    "TranscriptionFrame": lambda p: TranscriptionFrame(p["text"], "", "", finalized=p.get("finalized", True)),
    "InterimTranscriptionFrame": lambda p: InterimTranscriptionFrame(p["text"], "", ""),
    "EagerTranscriptionFrame": lambda p: EagerTranscriptionFrame(p["text"], "", ""),
    "UserTurnSoFarFrame": lambda p: UserTurnSoFarFrame(text=p["text"]),
    "UserBackchannelFrame": lambda p: UserBackchannelFrame(text=p["text"], user_id="", timestamp=""),
    "UserStartedSpeakingFrame": lambda p: UserStartedSpeakingFrame(),
    "UserStoppedSpeakingFrame": lambda p: UserStoppedSpeakingFrame(),
    "InterruptionFrame": lambda p: InterruptionFrame(),
    "EagerEndOfTurnCancelFrame": lambda p: EagerEndOfTurnCancelFrame(),
    "LLMContextUserTurnFrame": lambda p: LLMContextUserTurnFrame(text=p["text"], timestamp=""),
    "LLMContextFrame": lambda p: LLMContextFrame(context(p), speculation=bool(p.get("speculation"))),
    "LLMRunFrame": lambda p: LLMRunFrame(),
    "LLMFullResponseStartFrame": lambda p: LLMFullResponseStartFrame(),
    "LLMTextFrame": lambda p: LLMTextFrame(p["text"]),
    # How much it was is known, and not what.
    "UnclearedTextFrame": lambda p: UnclearedTextFrame(" " * p["characters"]),
    "LLMFullResponseEndFrame": lambda p: LLMFullResponseEndFrame(),
    "CueFrame": lambda p: CueFrame(_cue(p["cue"]), speculation=p["speculation"]),
    "DeliveryTagFrame": lambda p: DeliveryTagFrame(Pause(p["pause"]) if "pause" in p else Delivery(**p["delivery"])),
    "AggregatedTextFrame": lambda p: AggregatedTextFrame(p["text"], p["type"], raw_text=p.get("raw_text")),
    "TTSSpeakFrame": lambda p: TTSSpeakFrame(p["text"]),
    "UserTurnInferenceCompletedFrame": lambda p: UserTurnInferenceCompletedFrame(),
    "FunctionCallsStartedFrame": lambda p: FunctionCallsStartedFrame(
        [FunctionCallFromLLM(call["name"], call["call"], call["arguments"], LLMContext()) for call in p["calls"]]
    ),
    "FunctionCallInProgressFrame": lambda p: FunctionCallInProgressFrame(p["name"], p["call"], p["arguments"]),
    "FunctionCallResultFrame": lambda p: FunctionCallResultFrame(p["name"], p["call"], p["arguments"], p["result"]),
    "CallerSpeechFrame": lambda p: CallerSpeechFrame(CallerSays(**p["said"]), p["begins"]),
    "FunctionCallCancelFrame": lambda p: FunctionCallCancelFrame(p["name"], p["call"]),
}
"""By the frame's kind; what is not here is not played again. Extensions add their own."""


def _cue(payload: Payload) -> Cue:
    scores = {name: Score(**payload[name]) for name in ("arousal", "valence")}
    return Cue(**{**payload, **scores, "emphasised": tuple(payload["emphasised"])})


def frame(event: Event) -> Frame | None:
    """The event's frame; None if it is of a kind that is not played again."""
    builder = BUILDERS.get(event.kind)
    return builder(event.payload or {}) if builder else None


def context(payload: Payload) -> LLMContext:
    """The context that a language model was given."""
    schemas = [FunctionSchema(**tool) for tool in payload.get("tools", ()) if isinstance(tool, dict)]
    tools = ToolsSchema(standard_tools=list(schemas)) if schemas else None
    messages = [dict(message) for message in payload["messages"]]
    return LLMContext(messages=messages, tools=tools) if tools else LLMContext(messages=messages)  # type: ignore[arg-type]
