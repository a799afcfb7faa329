"""Hands a call over to somebody else: by the caller's wish, the language model's tool, or a choice on the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    Frame,
    LLMContextFrame,
    LLMContextUserTurnFrame,
    LLMUpdateSettingsFrame,
    TTSSpeakFrame,
    TTSUpdateSettingsFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from processors.speaking.frames import SpeakerFrame
from processors.speaking.wishes import Wish, wishes

if TYPE_CHECKING:
    from pipecat.services.llm_service import FunctionCallParams
    from pipecat.services.settings import LLMSettings, TTSSettings

    from processors.speaking.director import Director

TOOL = "hand_over"


@dataclass(frozen=True)
class Speaker:
    """Somebody who can speak in a call.

    Args:
        name: What they are called.
        greeting: What they say when they take over; empty to have the language model answer.
        prompt: What to change in the language model's settings.
        voice: All of the voice's settings; None for a voice that is everybody's.
        director: Decides how they say something.
    """

    name: str
    greeting: str = field(repr=False)
    prompt: LLMSettings = field(repr=False)
    voice: TTSSettings | None = field(repr=False)
    director: Director = field(repr=False)


class UnavailableError(ValueError):
    """Somebody to whom a call cannot be handed over. The message is one line."""


class Switchboard(FrameProcessor):
    """Stands before the language model, behind the guard of what is heard, and puts somebody else on.

    What was said stays in the context. Whatever has been written by then is said in the voice it was written for,
    unless the caller has chosen on the page, which cuts it off; the next sentence is in the new one. Guards stay as
    they are.

    Args:
        speakers: Who can speak.
        speaking: The name of the one who does.
        context: What the conversation remembers.
        on_change: Told who speaks now.
    """

    def __init__(
        self, speakers: Sequence[Speaker], speaking: str, context: LLMContext, on_change: Callable[[str], None]
    ) -> None:
        super().__init__()
        self._speakers = {speaker.name: speaker for speaker in speakers}
        self._by_spelling = {name.lower(): name for name in self._speakers}
        self._on_change = on_change
        self._wishes = wishes(self._speakers)
        self._context = context
        self._guess: Wish | None = None
        self._followed = ""
        self._turn = False
        self._caller_speaks = False
        self.speaking = speaking

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, UserStartedSpeakingFrame):
            self._caller_speaks = True
        elif isinstance(frame, UserStoppedSpeakingFrame):
            self._caller_speaks = False
        elif isinstance(frame, EagerEndOfTurnCancelFrame):
            self._guess = None
        if direction is FrameDirection.DOWNSTREAM and isinstance(frame, LLMContextFrame):
            await self._asked(frame)
            return
        await self.push_frame(frame, direction)
        if direction is FrameDirection.DOWNSTREAM and isinstance(frame, LLMContextUserTurnFrame):
            await self._turn_over(frame.text)

    async def choose(self, name: str) -> None:
        """Hand over at once, as the caller has chosen by other means than words. Whoever speaks is cut off.

        Args:
            name: Who is to speak.

        Raises:
            UnavailableError: If there is nobody of that name.
        """
        speaker = self._speaker(name)
        if speaker.name == self.speaking:
            return
        await self.broadcast_interruption()
        await self._put_on(speaker)
        if speaker.greeting and not self._caller_speaks:
            await self.push_frame(TTSSpeakFrame(speaker.greeting))

    def tool(self) -> FunctionSchema:
        """The tool with which a language model hands over."""
        others = ", ".join(self._speakers)
        return FunctionSchema(
            name=TOOL,
            description="Hand this call over to a colleague, only when the caller asks for somebody by name. "
            f"There are {others}.",
            properties={"to": {"type": "string", "description": "The colleague's name."}},
            required=["to"],
            handler=self._called,
        )

    async def _called(self, params: FunctionCallParams) -> None:
        try:
            speaker = self._speaker(str(params.arguments.get("to", "")))
            if speaker.name == self.speaking:
                raise UnavailableError(f"{speaker.name} is who speaks already: go on yourself")
        except UnavailableError as error:
            await params.result_callback({"done": False, "reason": str(error)})
            return
        self._change(speaker)
        # Behind all that is being written, and before what is asked with the result.
        for frame in _frames(speaker):
            await params.llm.queue_frame(frame)
        now = f"You are {speaker.name} from now on, and the caller knows it: greet them in a few words, and go on."
        await params.result_callback({"done": True, "now": now})

    def _speaker(self, name: str) -> Speaker:
        known = self._by_spelling.get(name.strip().lower())
        if known is None:
            raise UnavailableError(f"there is nobody of that name: choose {', '.join(self._speakers)}")
        return self._speakers[known]

    async def _turn_over(self, text: str) -> None:
        """Follow a wish of which it was not sure that the turn was over; no context may come of the turn any more."""
        guess, self._guess, self._turn, self._followed = self._guess, None, True, ""
        wish = self._wishes.read(text) if guess is not None else None
        if guess is not None and wish is not None and wish.name == guess.name:
            self._followed = text
            await self._follow(wish, LLMContextFrame(self._context))

    async def _asked(self, frame: LLMContextFrame) -> None:
        """Follow a wish, if that is what is to be answered."""
        wish = self._wish(frame.context) if frame.speculation or self._turn else None
        if frame.speculation:
            self._guess = wish
            if wish is None:
                await self.push_frame(frame)
            return
        self._turn = False
        if self._followed and _last_words(frame.context) == self._followed:
            self._followed = ""
        elif wish is None:
            await self.push_frame(frame)
        else:
            await self._follow(wish, frame)

    async def _follow(self, wish: Wish, context: LLMContextFrame) -> None:
        """Put on who is asked for, and have the rest of the turn answered."""
        speaker = self._speakers[wish.name]
        await self._put_on(speaker)
        await self.push_frame(context if wish.rest or not speaker.greeting else TTSSpeakFrame(speaker.greeting))

    def _wish(self, context: LLMContext) -> Wish | None:
        # A turn that is over may be answered by now: a model that hears answers before its words are known.
        wish = self._wishes.read(_last_words(context, answered=self._turn))
        return None if wish is None or wish.name == self.speaking else wish

    async def _put_on(self, speaker: Speaker) -> None:
        self._change(speaker)
        for frame in _frames(speaker):
            await self.push_frame(frame)

    def _change(self, speaker: Speaker) -> None:
        self.speaking = speaker.name
        self._on_change(speaker.name)


def _last_words(context: LLMContext, *, answered: bool = False) -> str:
    """The caller's, if nothing was said since, or if it may have been `answered`."""
    messages = context.get_messages()
    if answered:
        messages = [each for each in messages if isinstance(each, dict) and each.get("role") == "user"]
    last: Any = messages[-1] if messages else None
    if not isinstance(last, dict) or last.get("role") != "user" or not isinstance(last.get("content"), str):
        return ""
    words: str = last["content"]
    return words


def _frames(speaker: Speaker) -> list[Frame]:
    """By which everything behind learns who speaks."""
    voice = [] if speaker.voice is None else [TTSUpdateSettingsFrame(delta=speaker.voice)]
    changed = SpeakerFrame(speaker.name, speaker.director, speaker.voice)
    return [LLMUpdateSettingsFrame(delta=speaker.prompt), *voice, changed]
