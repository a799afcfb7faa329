"""From a Delivery to each voice: in its ranges, in the right direction, back again, and on hibari audible."""

from __future__ import annotations

import ast
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st
from pipecat.services.cartesia.tts import CartesiaEmotion, CartesiaTTSSettings, GenerationConfig
from pipecat.services.elevenlabs.tts import ElevenLabsTTSSettings
from pipecat.services.openai.tts import OpenAITTSSettings
from pipecat.services.settings import TTSSettings
from scipy import signal

from pipelines.lab.voices import errors
from processors.embedded.hibari import SAMPLE_RATE, Controls, Synthesiser
from processors.embedded.moonshine import Recogniser
from processors.embedded.tts import EmbeddedTTSSettings
from processors.pcm import Samples
from processors.speaking.delivery import SCALES, Delivery
from processors.speaking.lowering import VOICES, fitted, hume, lower
from processors.speaking.lowering.directions import directions, words
from processors.speaking.lowering.elevenlabs import tag
from processors.speaking.lowering.table import TableError, table
from processors.speaking.styles import StylesError, load, shipped
from tests.speech import needs
from tests.test_hibari import band

NAMES = list(shipped().styles)
SCALE = st.floats(-1, 1)
DELIVERIES = st.builds(
    Delivery,
    style=st.sampled_from(["", "unknown", *NAMES]),
    emphasis=st.sampled_from([(), ("now",)]),
    **{name: SCALE | st.just(0.0) for name in SCALES},
)
TABLES = ["hibari", "elevenlabs", "cartesia", "hume"]


@given(DELIVERIES, st.sampled_from(TABLES), st.floats(-20, 20))
def test_numbers_stay_in_what_the_voice_takes_and_near_the_personas_own(delivery, voice, own):
    for name, line in table(voice).settings.items():
        number = line.lowered(shipped().spelled(delivery), own)
        assert line.least <= number <= line.most
        if line.least <= own <= line.most:
            assert line.down - 1e-3 <= number - own <= line.up + 1e-3, name


RISING = {"speed": ("pace", "energy"), "pitch": ("pitch", "energy"), "volume": ("energy",), "breath": ("softness",)}


@given(DELIVERIES, st.sampled_from(TABLES), SCALE, SCALE)
def test_more_of_a_scale_never_lowers_what_it_raises(delivery, voice, one, other):
    less, more = sorted((one, other))
    for name, scales in RISING.items():
        for scale in scales:
            if name in table(voice).settings:
                line = table(voice).settings[name]
                low, high = (Delivery(**{**_scales(delivery), scale: value}) for value in (less, more))
                assert line.lowered(low, None) <= line.lowered(high, None)


@given(DELIVERIES, SCALE, SCALE)
def test_softer_is_never_louder(delivery, one, other):
    less, more = sorted((one, other))
    for voice in ("hibari", "cartesia"):
        line = table(voice).settings["volume"]
        soft, firm = (line.lowered(Delivery(**{**_scales(delivery), "softness": at}), None) for at in (more, less))
        assert soft <= firm


def _scales(delivery: Delivery) -> dict[str, float]:
    return {name: getattr(delivery, name) for name in SCALES}


@given(DELIVERIES, st.floats(-12, 12), st.floats(0.5, 2))
def test_hibari_takes_every_delivery_on_every_persona(delivery, pitch, speed):
    lowered = lower(delivery, EmbeddedTTSSettings(pitch=pitch, speed=speed))
    assert isinstance(lowered, EmbeddedTTSSettings)
    own = {name: getattr(lowered, name) for name in table("hibari").settings}
    assert Controls(**own)
    assert set(own) == {field.name for field in fields(Controls)} - {"formant"}


BASES = [
    EmbeddedTTSSettings(pitch=-2.0, range=1.1, tilt=1.0, breath=2.0, speed=1.1, volume=-1.0),
    ElevenLabsTTSSettings(stability=0.6, style=0.1, speed=1.05),
    CartesiaTTSSettings(generation_config=GenerationConfig(speed=1.1, volume=0.9, emotion="calm")),
    OpenAITTSSettings(instructions="You are Ferni."),
]


@pytest.mark.parametrize("base", BASES, ids=lambda base: type(base).__name__)
@pytest.mark.parametrize("style", NAMES)
def test_a_plain_delivery_leads_back_to_the_personas_own(base, style):
    settled = type(base)()
    settled.apply_update(base)
    changed = settled.apply_update(lower(Delivery(style=style), base))
    assert changed
    settled.apply_update(lower(Delivery(), base))
    for name in changed:
        assert getattr(settled, name) == getattr(base, name)


@pytest.mark.parametrize("style", NAMES)
def test_elevenlabs(style):
    lowered = lower(Delivery(style=style), ElevenLabsTTSSettings())
    assert 0 <= lowered.stability <= 1
    assert 0 <= lowered.style <= 0.35
    assert 0.7 <= lowered.speed <= 1.2
    assert tag(Delivery(style=style)).startswith("[")
    assert tag(Delivery(pace=0.5)) == ""


@pytest.mark.parametrize("style", NAMES)
def test_cartesia(style):
    config = lower(Delivery(style=style), CartesiaTTSSettings()).generation_config
    assert CartesiaEmotion(config.emotion)
    assert 0.6 <= config.speed <= 1.5
    assert 0.5 <= config.volume <= 2


def test_openai_is_directed_in_words_behind_the_personas_own():
    base = OpenAITTSSettings(instructions="You are Ferni.")
    assert lower(Delivery(style="urgent"), base).instructions == (
        "You are Ferni. Say this part so: urgent, lively, brisk, with hardly a pause, firm, in a high voice."
    )
    assert lower(Delivery(emphasis=("now",)), base).instructions == 'You are Ferni. Stress "now".'
    assert lower(Delivery(), OpenAITTSSettings()).instructions is None


@given(DELIVERIES, st.text(max_size=100))
def test_humes_description_fits_and_keeps_the_personas_own(delivery, own):
    lowered = hume.lowered(delivery, OpenAITTSSettings(model=own) if not own else _Own(own))
    assert len(lowered["description"] or "") <= hume.LONGEST
    assert (lowered["description"] or "").startswith(own)


class _Own:
    def __init__(self, description: str) -> None:
        self.description = description


def test_humes_settings_are_those_of_its_service():
    """Hume's library need not be installed: its service's source is read."""
    package = find_spec("pipecat.services")
    assert package is not None
    assert package.submodule_search_locations
    source = (Path(package.submodule_search_locations[0]) / "hume" / "tts.py").read_text("utf-8")
    (settings_class,) = [
        node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == "HumeTTSSettings"
    ]
    named = {node.target.id for node in settings_class.body if isinstance(node, ast.AnnAssign)}
    assert set(hume.lowered(Delivery(style="warm"), None)) <= named


def test_every_voice_has_a_lowering_and_others_none():
    assert {type(base).__name__ for base in BASES} | {"HumeTTSSettings"} == set(VOICES)
    assert lower(Delivery(style="warm"), TTSSettings()) is None


def test_every_style_has_words_everywhere():
    assert set(words().styles) == set(table("elevenlabs").styles) == set(table("cartesia").styles) == set(NAMES)


@given(DELIVERIES)
def test_directions_name_what_is_asked_for_and_nothing_of_a_plain_one(delivery):
    assert directions(Delivery()) == []
    said = directions(delivery)
    assert len(said) == len(set(said))
    assert len(said) <= 1 + len(SCALES)


def test_only_cleared_words_are_stressed():
    delivery = Delivery(emphasis=("now", "4111", "secret"))
    assert fitted(delivery, "Come Now, please.").emphasis == ("now",)


def test_a_bare_style_has_its_scales_and_an_unknown_one_nothing():
    assert shipped().spelled(Delivery(style="warm")) == shipped().named("warm")
    assert shipped().spelled(Delivery(style="happy")) == shipped().named("cheerful")
    assert shipped().spelled(Delivery(style="unknown", pace=0.1)) == Delivery(pace=0.1)
    assert shipped().spelled(Delivery(style="warm", pace=0.1)) == Delivery(style="warm", pace=0.1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("styles: {warm: {speed: 1}}", "line 1: styles.warm.speed is no key here: take it out or correct its name"),
        ("styles: {warm: {pace: 2}}", "styles.warm.pace: Input should be less than or equal to 1"),
        ("styles: {warm: {}}\naliases: {hot: cold}", "the alias hot leads to cold, which is no style: choose warm"),
        ("words: {}", "styles is missing: add it"),
    ],
)
def test_bad_styles_are_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "styles.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(StylesError) as refused:
        load(path)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_voice_without_a_table_is_named():
    with pytest.raises(TableError, match=r"nobody\.yaml"):
        table("nobody")


# --- hibari, by ear of a recogniser ----------------------------------------------------------------------------------

SENTENCES = (
    "The boats were moored along the river, and nobody knew when the owners would return.",
    "I can move your appointment to Thursday afternoon, if that suits you better.",
    "Please take the second door on the left and wait there for the doctor.",
    "We found your parcel this morning, and it should arrive before the weekend.",
    "That sounds like a very long day, so let us see what we can do about it.",
)


class Sound:
    """How a style sounds: medians and means over `SENTENCES`.

    Attributes:
        pitch: Median F0, semitones above 100 Hz.
        level: dB, A-weighted.
        pace: Seconds that the sentences take.
        tilt: Level above 2 kHz beside that below, dB.
        mistakes: Word errors of the recogniser, in parts of all words.
    """

    def __init__(self, voice: Synthesiser, recogniser: Recogniser, style: str) -> None:
        lowered = lower(Delivery(style=style), EmbeddedTTSSettings())
        controls = Controls(**{name: getattr(lowered, name) for name in table("hibari").settings})
        spoken = [voice.speak(sentence, controls).samples for sentence in SENTENCES]
        together = np.concatenate(spoken)
        self.pitch = float(12 * np.log2(np.median(pitches(together)) / 100))
        self.level = loudness(together)
        self.pace = len(together) / SAMPLE_RATE
        self.tilt = band(together, 2000, 8000) - band(together, 100, 2000)
        wrong = total = 0
        for sentence, samples in zip(SENTENCES, spoken, strict=True):
            heard = recogniser.transcribe(np.pad(soxr.resample(samples, SAMPLE_RATE, 16_000), 8_000))
            wrong += errors(plain(sentence), plain(heard))
            total += len(plain(sentence))
        self.mistakes = wrong / total

    def unlike(self, other: Sound) -> float:
        """The largest difference, counted in what is easily heard: a semitone, 1.5 dB, 6 % of time, 2 dB of tilt."""
        return max(
            abs(self.pitch - other.pitch),
            abs(self.level - other.level) / 1.5,
            abs(np.log(self.pace / other.pace)) / 0.06,
            abs(self.tilt - other.tilt) / 2,
        )


def pitches(samples: Samples) -> Samples:
    """F0 in Hz of each 40 ms that is voiced, by autocorrelation between 70 and 400 Hz."""
    low = signal.sosfilt(signal.butter(4, 900, fs=SAMPLE_RATE, output="sos"), samples)
    frames = np.lib.stride_tricks.sliding_window_view(low, 960)[::240]
    frames = frames[np.square(frames).mean(axis=1) > 1e-4] * np.hanning(960)
    correlation = np.fft.irfft(np.square(np.abs(np.fft.rfft(frames, 2048))))
    window = np.fft.irfft(np.square(np.abs(np.fft.rfft(np.hanning(960), 2048))))
    lags = correlation[:, 60:343] / correlation[:, :1] / (window[60:343] / window[0])
    return SAMPLE_RATE / (lags.argmax(axis=1)[lags.max(axis=1) > 0.7] + 60)


def loudness(samples: Samples) -> float:
    """Level in dB by the A curve of IEC 61672, unnormalised."""
    hertz, power = signal.welch(samples, SAMPLE_RATE, nperseg=2048)
    square = np.square(hertz)
    weights = np.square(square) / ((square + 20.6**2) * (square + 12194.0**2))
    weights /= np.sqrt((square + 107.7**2) * (square + 737.9**2))
    return float(10 * np.log10(np.square(weights) @ power))


def plain(text: str) -> list[str]:
    return "".join(c for c in text.lower() if c.isalnum() or c.isspace()).split()


@pytest.fixture(scope="module")
def sounds() -> dict[str, Sound]:
    needs("hibari-heart", "moonshine-tiny-en")
    from pipelines.stacks.embedded import RECOGNISER, SYNTHESISER

    voice, recogniser = SYNTHESISER.get(), RECOGNISER.get()
    return {style: Sound(voice, recogniser, style) for style in ("", *NAMES)}


def test_every_style_is_understood(sounds):
    assert {style: sound.mistakes for style, sound in sounds.items() if sound.mistakes > 0.05} == {}


def test_every_style_is_heard_and_told_from_the_others(sounds):
    alike = {
        (one, other): sounds[one].unlike(sounds[other])
        for one in sounds
        for other in sounds
        if one < other and sounds[one].unlike(sounds[other]) < 1
    }
    assert alike == {}


def test_styles_sound_as_they_are_called(sounds):
    own = sounds[""]
    assert sounds["urgent"].pace < own.pace < sounds["calm"].pace
    assert sounds["whispered"].level < sounds["calm"].level < own.level < sounds["excited"].level
    assert sounds["serious"].pitch < own.pitch < sounds["cheerful"].pitch < sounds["excited"].pitch
    assert sounds["warm"].tilt < own.tilt < sounds["urgent"].tilt
