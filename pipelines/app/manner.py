"""What a caller's page is told besides words: the cue heard in each turn, the delivery of the answer, who speaks."""

from __future__ import annotations

from typing import Literal, TypedDict

from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.processors.frameworks.rtvi import RTVIProcessor

from processors.hearing.cues import Cue
from processors.hearing.describe import AUDIBLE, HESITANT, MOODS, describe
from processors.hearing.frames import CueFrame
from processors.speaking.delivery import SCALES, Delivery
from processors.speaking.frames import DeliveryFrame, SpeakerFrame

AUDIBLE_CHANGE = 0.1
"""How far a scale has to be from the persona's own way to be worth a word."""

CHANGES = {
    "warmth": ("cooler", "warmer"),
    "energy": ("calmer", "livelier"),
    "pace": ("slower", "faster"),
    "pitch": ("lower", "higher"),
    "softness": ("firmer", "softer"),
    "pauses": ("fewer pauses", "more pauses"),
}
"""What to call less and more of each scale."""


class CueMessage(TypedDict):
    """How the caller sounded in the turn before the answer that comes.

    Args:
        type: Of the message.
        emotion: The likeliest, as people would call it.
        probability: How likely it is.
        arousal: From calm, 0, to excited, 1.
        valence: From unpleasant, 0, to pleasant, 1.
        pace: Syllables a second; None where there was too little speech.
        signs: What else was heard.
        plain: Whether nothing of it is out of the ordinary, so that the language model is told nothing.
    """

    type: Literal["cue"]
    emotion: str
    probability: float
    arousal: float
    valence: float
    pace: float | None
    signs: list[str]
    plain: bool


class DeliveryMessage(TypedDict):
    """How what is said from now on is said, beside the persona's own way.

    Args:
        type: Of the message.
        style: A named way; empty for none.
        changes: In words, the largest first.
        rule: The director's by which it is so; empty if there is none.
    """

    type: Literal["delivery"]
    style: str
    changes: list[str]
    rule: str


class SpeakerMessage(TypedDict):
    """Who speaks from now on.

    Args:
        type: Of the message.
        name: A persona's.
    """

    type: Literal["speaker"]
    name: str


def cue_message(cue: Cue) -> CueMessage:
    """A cue for the page. It holds none of the caller's words."""
    heard = {
        "laughter": cue.laughter >= AUDIBLE,
        "a sigh": cue.sigh >= AUDIBLE,
        "searching for words": cue.hesitation >= HESITANT,
    }
    return {
        "type": "cue",
        "emotion": MOODS.get(cue.emotion, cue.emotion),
        "probability": round(cue.emotions[cue.emotion], 3),
        "arousal": round(cue.arousal.combined, 3),
        "valence": round(cue.valence.combined, 3),
        "pace": None if cue.pace is None else round(cue.pace, 1),
        "signs": [sign for sign, is_heard in heard.items() if is_heard],
        "plain": not describe(cue),
    }


def delivery_message(delivery: Delivery, rule: str) -> DeliveryMessage:
    """A delivery for the page."""
    moved = sorted(
        ((name, value) for name in SCALES if abs(value := getattr(delivery, name)) >= AUDIBLE_CHANGE),
        key=lambda change: -abs(change[1]),
    )
    changes = [CHANGES[name][value > 0] for name, value in moved]
    return {"type": "delivery", "style": delivery.style, "changes": changes, "rule": rule}


class Manner(BaseObserver):
    """Tells the page of a call how its caller sounded, how they are answered, and by whom.

    Args:
        rtvi: The worker's, which the messages go through.
    """

    def __init__(self, rtvi: RTVIProcessor) -> None:
        super().__init__(observe_every_push=False)
        self._rtvi = rtvi

    async def on_push_frame(self, data: FramePushed) -> None:
        frame = data.frame
        if isinstance(frame, CueFrame) and not frame.speculation:
            await self._rtvi.send_server_message(cue_message(frame.cue))
        elif isinstance(frame, DeliveryFrame):
            await self._rtvi.send_server_message(delivery_message(frame.delivery, frame.rule))
        elif isinstance(frame, SpeakerFrame):
            await self._rtvi.send_server_message(SpeakerMessage(type="speaker", name=frame.speaker))
