"""What a conversation used: tokens, seconds and characters, told apart as vendors bill them."""

from __future__ import annotations

from dataclasses import dataclass, fields

from pipecat.metrics.metrics import (
    LLMTokenUsage,
    LLMUsageMetricsData,
    MetricsData,
    STTUsageMetricsData,
    TTSUsageMetricsData,
)


@dataclass(frozen=True)
class Usage:
    """Amounts that are billed at different prices; no token is counted twice. Usages add up.

    Args:
        text_in: Tokens of text in prompts, neither read from a cache nor written to it.
        text_cached: Tokens of text that the vendor had in its cache.
        text_written: Tokens of text that the vendor put into its cache.
        text_out: Tokens of text in answers, thoughts among them.
        audio_in: Tokens of sound in prompts, not read from a cache.
        audio_cached: Tokens of sound that the vendor had in its cache.
        audio_out: Tokens of sound in answers.
        stt_seconds: Seconds of sound given to speech recognition.
        tts_characters: Characters given to a voice.
    """

    text_in: float = 0
    text_cached: float = 0
    text_written: float = 0
    text_out: float = 0
    audio_in: float = 0
    audio_cached: float = 0
    audio_out: float = 0
    stt_seconds: float = 0
    tts_characters: float = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, name) + getattr(other, name) for name in KINDS))

    def __mul__(self, times: float) -> Usage:
        return Usage(*(getattr(self, name) * times for name in KINDS))

    def amounts(self) -> dict[str, float]:
        """What is not nothing, by name."""
        return {name: amount for name in KINDS if (amount := getattr(self, name))}

    @property
    def text_prompt(self) -> float:
        """All tokens of text in prompts."""
        return self.text_in + self.text_cached + self.text_written

    @property
    def audio_prompt(self) -> float:
        """All tokens of sound in prompts."""
        return self.audio_in + self.audio_cached

    @property
    def prompt(self) -> float:
        """All tokens in prompts."""
        return self.text_prompt + self.audio_prompt

    @property
    def out(self) -> float:
        """All tokens in answers."""
        return self.text_out + self.audio_out


KINDS = tuple(field.name for field in fields(Usage))
"""The names of what is billed."""


def of_tokens(tokens: LLMTokenUsage) -> Usage:
    """Tell apart what Pipecat reports of one request.

    Vendors count cached tokens inside the prompt (OpenAI, Gemini) or beside it (Anthropic, Bedrock): the total, which
    holds every token once, tells which. Where it is not said which cached tokens were sound, they are taken for text
    first, so that a call is rather thought too dear than too cheap.
    """
    read, written = tokens.cache_read_input_tokens or 0, tokens.cache_creation_input_tokens or 0
    in_cache = read + written
    counted = tokens.prompt_tokens + tokens.completion_tokens
    beside = in_cache > tokens.prompt_tokens or abs(tokens.total_tokens - counted - in_cache) < abs(
        tokens.total_tokens - counted
    )
    prompt = tokens.prompt_tokens + in_cache if beside else tokens.prompt_tokens
    audio = min(tokens.input_audio_tokens or 0, prompt)
    audio_read = tokens.cache_read_input_audio_tokens
    if audio_read is None:
        audio_read = max(0, read - max(0, prompt - audio - written))
    audio_read = min(audio_read, audio, read)
    audio_out = min(tokens.output_audio_tokens or 0, tokens.completion_tokens)
    return Usage(
        text_in=max(0, prompt - audio - written - (read - audio_read)),
        text_cached=read - audio_read,
        text_written=written,
        text_out=tokens.completion_tokens - audio_out,
        audio_in=audio - audio_read,
        audio_cached=audio_read,
        audio_out=audio_out,
    )


BILLED: tuple[type[MetricsData], ...] = (LLMUsageMetricsData, STTUsageMetricsData, TTSUsageMetricsData)
"""Pipecat's metrics of what was used."""


def of_metrics(data: MetricsData) -> Usage | None:
    """What a Pipecat metric says was used; None if it is about something else, such as time."""
    if isinstance(data, LLMUsageMetricsData):
        return of_tokens(data.value)
    if isinstance(data, STTUsageMetricsData):
        return Usage(stt_seconds=data.value.audio_seconds)
    if isinstance(data, TTSUsageMetricsData):
        return Usage(tts_characters=data.value)
    return None
