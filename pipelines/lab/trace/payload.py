"""What of a frame goes into a trace: a plain dict of what matters in it, by the type of the frame.

A type of frame that is not listed here goes by its name alone; `payload.register` adds one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import singledispatch
from typing import Any

from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.frames.frames import (
    AggregatedTextFrame,
    AggregatedTextProgressFrame,
    BotSpeakingFrame,
    CancelFrame,
    EagerTranscriptionFrame,
    EndFrame,
    ErrorFrame,
    Frame,
    FunctionCallCancelFrame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    FunctionCallsStartedFrame,
    HeartbeatFrame,
    ImageRawFrame,
    InterimTranscriptionFrame,
    LLMContextAssistantTurnFrame,
    LLMContextFrame,
    LLMContextSummaryResultFrame,
    LLMContextUserTurnFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMMarkerFrame,
    LLMTextFrame,
    MetricsFrame,
    OutputTransportMessageFrame,
    OutputTransportMessageUrgentFrame,
    SpeechOutputAudioRawFrame,
    STTMetadataFrame,
    TextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    TTSUpdateSettingsFrame,
    UserBackchannelFrame,
    UserSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)

from pipelines.definition import Port
from processors.guarding.frames import GuardFrame, HandOverFrame, UnclearedTextFrame
from processors.hearing.frames import CueFrame
from processors.speaking.delivery import Delivery
from processors.speaking.frames import DeliveryTagFrame
from processors.turns.frames import SpeechPausedFrame, UserTurnSoFarFrame

Payload = dict[str, Any]
"""Strings, numbers, None, and lists and dicts of them."""

LONGEST = 20_000
"""Characters of a string; what is longer (an image or a recording in a message) is named by its length."""

UNNOTED: tuple[type[Any], ...] = (
    AggregatedTextProgressFrame,
    BotSpeakingFrame,
    HeartbeatFrame,
    ImageRawFrame,
    OutputTransportMessageFrame,
    OutputTransportMessageUrgentFrame,
    UserSpeakingFrame,
)
"""Frames that only repeat what others say, and images."""

TAKEN: dict[Port, tuple[type[Frame], ...]] = {
    Port.TRANSCRIPT: (TranscriptionFrame, InterimTranscriptionFrame, EagerTranscriptionFrame),
    Port.CONTEXT: (LLMContextFrame,),
    Port.CLEARED_TEXT: (
        LLMFullResponseStartFrame,
        LLMTextFrame,
        AggregatedTextFrame,
        TTSSpeakFrame,
        LLMFullResponseEndFrame,
        DeliveryTagFrame,
    ),
    Port.SPEECH: (TTSStartedFrame, TTSTextFrame, TTSStoppedFrame),
}
TAKEN[Port.TEXT] = (*TAKEN[Port.CLEARED_TEXT], UnclearedTextFrame)
"""What counts as a stage's input, by the port that it reads. Audio is in the FLAC files."""


@singledispatch
def payload(frame: Frame) -> Payload:
    """What matters in a frame, copied, so that it stays as it was when the frame changes."""
    return {}


@payload.register
def _(frame: TextFrame) -> Payload:
    return {"text": frame.text}


@payload.register
def _(frame: LLMContextSummaryResultFrame) -> Payload:
    """`of` is how many messages it is of."""
    return {"text": frame.summary, "of": frame.last_summarized_index + 1}


@payload.register(LLMContextUserTurnFrame)
@payload.register(LLMContextAssistantTurnFrame)
@payload.register(UserBackchannelFrame)
@payload.register(UserTurnSoFarFrame)
@payload.register(TTSSpeakFrame)
def _(frame: Any) -> Payload:
    return {"text": frame.text}


@payload.register
def _(frame: TranscriptionFrame) -> Payload:
    return {"text": frame.text, "finalized": frame.finalized}


@payload.register
def _(frame: SpeechPausedFrame) -> Payload:
    return {"silence": frame.silence}


@payload.register
def _(frame: VADUserStartedSpeakingFrame) -> Payload:
    return {"start_secs": frame.start_secs}


@payload.register
def _(frame: VADUserStoppedSpeakingFrame) -> Payload:
    return {"stop_secs": frame.stop_secs}


@payload.register
def _(frame: STTMetadataFrame) -> Payload:
    return {"service": frame.service_name, "wait": frame.ttfs_p99_latency}


@payload.register
def _(frame: LLMContextFrame) -> Payload:
    tools = getattr(frame.context.tools, "standard_tools", ())
    return {
        "speculation": frame.speculation,
        "messages": [plain(getattr(message, "message", message)) for message in frame.context.messages],
        "tools": [_tool(tool) for tool in tools],
    }


def _tool(tool: Any) -> Any:
    if not isinstance(tool, FunctionSchema):
        return str(getattr(tool, "name", tool))
    return {
        "name": tool.name,
        "description": tool.description,
        "properties": plain(tool.properties),
        "required": list(tool.required),
    }


@payload.register
def _(frame: UnclearedTextFrame) -> Payload:
    return {"characters": len(frame.text)}


@payload.register
def _(frame: CueFrame) -> Payload:
    """How it was said, and none of the words that stand out."""
    return {"cue": plain(asdict(replace(frame.cue, emphasised=()))), "speculation": frame.speculation}


@payload.register
def _(frame: DeliveryTagFrame) -> Payload:
    """Of words that are to stand out nothing, as no guard has read them."""
    if isinstance(frame.says, Delivery):
        return {"delivery": replace(frame.says, emphasis=()).as_json()}
    return {"pause": frame.says.seconds}


@payload.register
def _(frame: TTSUpdateSettingsFrame) -> Payload:
    """What of a voice's settings is changed, and whose they are: the name of their type."""
    if frame.delta is None:
        return {}
    return {"of": type(frame.delta).__name__, "settings": plain(frame.delta.given_fields())}


@payload.register
def _(frame: GuardFrame) -> Payload:
    return {
        "rule": frame.rule,
        "action": frame.action,
        "direction": frame.direction,
        "characters": frame.characters,
        "failure": frame.failure,
    }


@payload.register
def _(frame: HandOverFrame) -> Payload:
    return {"rule": frame.rule}


@payload.register
def _(frame: LLMMarkerFrame) -> Payload:
    return {"marker": frame.marker}


@payload.register
def _(frame: AggregatedTextFrame) -> Payload:
    return {"text": frame.text, "type": str(frame.text_type), "raw_text": frame.raw_text}


@payload.register
def _(frame: TTSTextFrame) -> Payload:
    """`at` is when the text begins to be heard, in seconds from the conversation's begin."""
    return {"text": frame.text, "at": None if frame.pts is None else frame.pts / 1e9, "context": frame.context_id}


@payload.register
def _(frame: TTSStartedFrame) -> Payload:
    return {"context": frame.context_id}


@payload.register
def _(frame: TTSStoppedFrame) -> Payload:
    return {"context": frame.context_id}


@payload.register
def _(frame: TTSAudioRawFrame) -> Payload:
    return {"samples": frame.num_frames, "rate": frame.sample_rate, "context": frame.context_id}


@payload.register
def _(frame: SpeechOutputAudioRawFrame) -> Payload:
    return {"samples": frame.num_frames, "rate": frame.sample_rate}


@payload.register
def _(frame: FunctionCallsStartedFrame) -> Payload:
    return {
        "calls": [
            {"name": call.function_name, "call": call.tool_call_id, "arguments": plain(call.arguments)}
            for call in frame.function_calls
        ]
    }


@payload.register
def _(frame: FunctionCallInProgressFrame) -> Payload:
    return {"name": frame.function_name, "call": frame.tool_call_id, "arguments": plain(frame.arguments)}


@payload.register
def _(frame: FunctionCallResultFrame) -> Payload:
    return {
        "name": frame.function_name,
        "call": frame.tool_call_id,
        "arguments": plain(frame.arguments),
        "result": plain(frame.result),
        "error": frame.error,
    }


@payload.register
def _(frame: FunctionCallCancelFrame) -> Payload:
    return {"name": frame.function_name, "call": frame.tool_call_id}


@payload.register
def _(frame: ErrorFrame) -> Payload:
    return {
        "error": frame.error,
        "category": frame.category.value if frame.category else None,
        "processor": frame.processor.name if frame.processor else None,
    }


@payload.register
def _(frame: MetricsFrame) -> Payload:
    return {
        "metrics": [{"kind": type(metric).__name__, **metric.model_dump(exclude_none=True)} for metric in frame.data]
    }


@payload.register(EndFrame)
@payload.register(CancelFrame)
def _(frame: Any) -> Payload:
    return {"reason": None if frame.reason is None else str(frame.reason)}


def plain(value: Any) -> Any:
    """A copy of a value in what JSON has; anything else by its name or its length."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST else f"[{len(value)} characters]"
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (bytes, bytearray)):
        return f"[{len(value)} bytes]"
    if isinstance(value, Sequence):
        return [plain(inner) for inner in value]
    if hasattr(value, "model_dump"):
        return plain(value.model_dump())
    return str(value)
