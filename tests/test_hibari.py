"""The voice itself: what its controls do to the sound, when its words are said, and what it makes of odd text."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hibari import Hibari
from moonshine_voice import ModelArch, Transcriber, get_model_path
from scipy import signal

from processors.embedded.hibari import NEUTRAL, SAMPLE_RATE, Controls, Samples, Synthesiser
from processors.embedded.weights import locate

SENTENCE = "The boats were moored along the river, and nobody knew when the owners would return."


@pytest.fixture(scope="module")
def voice() -> Synthesiser:
    return Synthesiser(locate("hibari-heart"))


@pytest.fixture(scope="module")
def transcriber() -> Iterator[Transcriber]:
    options = {"vad_threshold": "0.0", "max_tokens_per_second": "13.0"}
    with Transcriber(str(get_model_path("tiny-en")), ModelArch.TINY, options=options) as transcriber:
        yield transcriber


def pitches(samples: Samples) -> Samples:
    """F0 in Hz of each 40 ms that is clearly voiced, by autocorrelation between 60 and 500 Hz."""
    size, hop = 960, 240
    found = []
    for start in range(0, len(samples) - 2 * size, hop):
        window = samples[start : start + 2 * size]
        energy = np.square(window).mean()
        if energy < 1e-4:
            continue
        correlation = signal.correlate(window, window[:size], "valid", "fft")
        powers = np.convolve(np.square(window), np.ones(size), "valid")
        normalised = correlation / np.sqrt(powers * powers[0])
        lags = normalised[48:400]
        if lags.max() < 0.85:
            continue
        peak = next(i for i in range(1, len(lags) - 1) if lags[i] >= lags[i - 1 : i + 2].max() > 0.9 * lags.max())
        found.append(SAMPLE_RATE / (peak + 48))
    return np.array(found, np.float32)


def band(samples: Samples, low: float, high: float) -> float:
    """Level in dB between two frequencies."""
    frequencies, power = signal.welch(samples, SAMPLE_RATE, nperseg=1024)
    return float(10 * np.log10(power[(frequencies >= low) & (frequencies < high)].sum()))


def stretch(samples: Samples, reference: Samples) -> float:
    """The ratio by which the reference's long-term spectrum has to be stretched to look like that of the samples."""

    def envelope(of: Samples) -> Samples:
        _, power = signal.welch(of, SAMPLE_RATE, nperseg=2048)
        return 10 * np.log10(np.convolve(power, np.hanning(35) / np.hanning(35).sum(), "same"))

    bins = np.arange(40, 420)  # 470 to 4900 Hz
    wanted, given = envelope(samples), envelope(reference)
    ratios = np.arange(0.7, 1.45, 0.01)
    likeness = [np.corrcoef(wanted[bins], np.interp(bins / r, np.arange(len(given)), given))[0, 1] for r in ratios]
    return float(ratios[int(np.argmax(likeness))])


def loudness(samples: Samples) -> float:
    """A-weighted level in dB, by the bands of ISO 266."""
    weights = {125: -16.1, 250: -8.6, 500: -3.2, 1000: 0.0, 2000: 1.2, 4000: 1.0, 8000: -1.1}
    bands = (band(samples, f / 2**0.5, f * 2**0.5) + weight for f, weight in weights.items())
    return float(10 * np.log10(sum(10 ** (each / 10) for each in bands)))


def level(samples: Samples) -> float:
    return float(20 * np.log10(np.sqrt(np.square(samples).mean())))


# --- controls --------------------------------------------------------------------------------------------------------


def test_neutral_controls_leave_the_voice_as_it_is(voice: Synthesiser) -> None:
    ours = voice.speak(SENTENCE).samples
    theirs = Hibari()(SENTENCE, seed=0)
    start = int(np.flatnonzero(np.abs(theirs) == np.abs(theirs).max())[0]) - int(
        np.flatnonzero(np.abs(ours) == np.abs(ours).max())[0]
    )
    spoken = len(ours) - int(0.25 * SAMPLE_RATE)
    inner = slice(300, spoken - 300)
    assert np.array_equal(ours[inner], theirs[start : start + spoken][inner])


@pytest.mark.parametrize("semitones", [-6.0, -3.0, 3.0, 6.0])
def test_pitch_moves_the_fundamental_by_semitones(voice: Synthesiser, semitones: float) -> None:
    neutral, moved = (pitches(voice.speak(SENTENCE, Controls(pitch=each)).samples) for each in (0, semitones))
    quartiles = 12 * np.log2(np.percentile(moved, [25, 50, 75]) / np.percentile(neutral, [25, 50, 75]))
    assert list(quartiles) == pytest.approx([semitones] * 3, abs=0.4)


def test_range_widens_and_flattens_the_melody_around_its_mean(voice: Synthesiser) -> None:
    def melody(ratio: float) -> tuple[float, float]:
        semitones = 12 * np.log2(pitches(voice.speak(SENTENCE, Controls(range=ratio)).samples))
        low, middle, high = np.percentile(semitones, [10, 50, 90])
        return float(high - low), float(middle)

    flat, own, wide = melody(0), melody(1), melody(1.8)
    assert flat[0] < 0.5 < 2 < own[0]
    assert wide[0] / own[0] == pytest.approx(1.8, rel=0.2)
    assert wide[1] == pytest.approx(own[1], abs=1.5)


@pytest.mark.parametrize("ratio", [0.85, 1.2])
def test_formant_moves_the_envelope_and_not_the_pitch(voice: Synthesiser, ratio: float) -> None:
    own, moved = voice.speak(SENTENCE).samples, voice.speak(SENTENCE, Controls(formant=ratio)).samples
    assert stretch(moved, own) == pytest.approx(ratio, abs=0.04)
    assert np.median(pitches(moved)) == pytest.approx(np.median(pitches(own)), rel=0.03)


@pytest.mark.parametrize("slope", [-4.0, -2.0, 2.0, 4.0])
def test_tilt_turns_the_spectrum_at_the_same_loudness(voice: Synthesiser, slope: float) -> None:
    own, tilted = voice.speak(SENTENCE).samples, voice.speak(SENTENCE, Controls(tilt=slope)).samples
    octaves_apart = 4  # from 350 to 5600 Hz
    turned = band(tilted, 5500, 5700) - band(own, 5500, 5700) - band(tilted, 330, 370) + band(own, 330, 370)
    assert turned / octaves_apart == pytest.approx(slope, abs=0.4)
    assert loudness(tilted) == pytest.approx(loudness(own), abs=1.0)


def test_breath_adds_noise_to_vowels_and_leaves_consonants(voice: Synthesiser) -> None:
    def noise(breath: float, text: str) -> float:
        return band(voice.speak(text, Controls(breath=breath)).samples, 4000, 10_000)

    vowels, hiss = "We knew you were near.", "Six."
    assert noise(12, vowels) - noise(0, vowels) == pytest.approx(12, abs=4)
    assert noise(-12, vowels) - noise(0, vowels) < -1.5
    assert abs(noise(12, hiss) - noise(0, hiss)) < 2


@pytest.mark.parametrize("speed", [0.7, 1.4])
def test_speed_changes_duration(voice: Synthesiser, speed: float) -> None:
    assert voice.speak(SENTENCE).seconds / voice.speak(SENTENCE, Controls(speed=speed)).seconds == pytest.approx(
        speed, rel=0.12
    )


def test_volume_changes_level_and_never_clips(voice: Synthesiser) -> None:
    own = voice.speak(SENTENCE).samples
    assert level(voice.speak(SENTENCE, Controls(volume=-20)).samples) - level(own) == pytest.approx(-20, abs=0.1)
    assert level(voice.speak(SENTENCE, Controls(volume=3)).samples) - level(own) == pytest.approx(3, abs=0.1)
    loudest = Controls(volume=12, tilt=6, breath=18, pitch=12, formant=1.35, range=2.5)
    assert np.abs(voice.speak(SENTENCE, loudest).samples).max() <= 0.98


@pytest.mark.parametrize(
    ("control", "value"),
    [
        ("pitch", float("nan")), ("pitch", 13), ("range", -0.1), ("formant", 0), ("tilt", float("inf")),
        ("breath", 40), ("speed", 0), ("speed", -1), ("volume", "loud"), ("volume", None), ("speed", True),
    ],
)  # fmt: skip
def test_a_control_out_of_range_is_refused_with_the_mend(control: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"^{control} is .*: give a number from .* to .* \(.*\)$"):
        Controls(**{control: value})  # type: ignore[arg-type]


def test_same_text_and_controls_give_the_same_samples_in_every_thread(voice: Synthesiser) -> None:
    texts = [SENTENCE, "Hello there.", "It costs $4.50.", "Xqzt blorf."] * 3
    controls = Controls(pitch=2, breath=6)
    alone = [voice.speak(text, controls) for text in texts]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda text: voice.speak(text, controls), texts))
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one.samples, other.samples)
        assert one.words == other.words


# --- edges -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["Hello there.", "Hi.", "Fish swim.", "Somebody once.", "Half past five.", "Thin ice.", "She knows.", "Apples."],
)
def test_a_speech_begins_with_its_first_sound_and_keeps_all_of_it(voice: Synthesiser, text: str) -> None:
    speech = voice.speak(text)
    whole = Hibari()(text, seed=0)
    loud = np.flatnonzero(np.abs(speech.samples) > 10 ** (-50 / 20))
    assert loud[0] / SAMPLE_RATE <= 0.06
    # What was cut away before and after holds nothing: 99.99 % of the energy is still there.
    kept, made = np.square(speech.samples).sum(), np.square(whole).sum()
    assert kept / made == pytest.approx(1, abs=1e-4)
    start = int(np.argmax(np.abs(whole))) - int(np.argmax(np.abs(speech.samples)))
    assert start > 0.1 * SAMPLE_RATE, "the silence before the first sound was left in"
    assert np.abs(whole[:start]).max() < 10 ** (-52 / 20)


@pytest.mark.parametrize(
    ("text", "pause"), [("Come in.", 0.25), ("Come in?", 0.25), ("Come in,", 0.12), ("Come in", 0)]
)
def test_the_pause_after_a_piece_depends_on_how_it_ends(voice: Synthesiser, text: str, pause: float) -> None:
    samples = voice.speak(text).samples
    silent = (len(samples) - np.flatnonzero(np.abs(samples) > 1e-3)[-1]) / SAMPLE_RATE
    assert pause <= silent <= pause + 0.09


# --- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        SENTENCE,
        "Dr. Smith's bill: $4.50, due May 5, 2024 at 7:30 pm. Call (555) 123-4567!",
        "- one\n- two 🙂\n- **three**",
        "Wait - what? “Really,” she said… (maybe) e.g. this & that.",
        "word " * 60,
    ],
)
def test_every_written_word_has_its_time_in_order(voice: Synthesiser, text: str) -> None:
    speech = voice.speak(text)
    assert [word.text for word in speech.words] == text.split()
    times = [time for word in speech.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert times[0] == 0
    assert times[-1] <= speech.seconds


def test_a_word_spans_all_that_is_said_for_it(voice: Synthesiser) -> None:
    money = next(word for word in voice.speak("That is $1,250.75 then.").words if word.text.startswith("$"))
    assert 1.8 < money.end - money.start < 4.5


def test_words_are_timed_as_the_sound_is(voice: Synthesiser) -> None:
    """Sibilants between vowels stand out of the spectrum: each of these words but the first begins with one."""
    text = "We saw a city on a sunny day so you sit"
    high_pass = signal.butter(6, 4500, "highpass", fs=SAMPLE_RATE, output="sos")
    for speed in (0.8, 1.0, 1.3):
        speech = voice.speak(text, Controls(speed=speed))
        hiss = np.abs(signal.sosfiltfilt(high_pass, speech.samples))
        loud = np.convolve(hiss, np.ones(120) / 120, "same") > 0.003
        onsets = np.flatnonzero(loud[1:] & ~loud[:-1]) / SAMPLE_RATE
        for word in speech.words:
            if word.text in ("saw", "city", "sunny", "so", "sit"):
                assert np.abs(onsets - word.start).min() < 0.06, (speed, word, onsets)


def test_audio_cut_where_a_word_ends_is_recognised_up_to_that_word(
    voice: Synthesiser, transcriber: Transcriber
) -> None:
    speech = voice.speak("The quick brown fox jumps over the lazy dog near the river bank.")
    for index in (3, 6, 8, 11):
        word = speech.words[index]
        cut = speech.samples[: int(word.end * SAMPLE_RATE)]
        heard = transcribed(transcriber, np.concatenate([cut, np.zeros(SAMPLE_RATE // 2, np.float32)]))
        expected = [each.text.lower().strip(".") for each in speech.words[: index + 1]]
        assert heard[-1] == expected[-1]
        assert len(heard) == len(expected)


def transcribed(transcriber: Transcriber, samples: Samples) -> list[str]:
    lines = transcriber.transcribe_without_streaming(samples.tolist(), SAMPLE_RATE).lines
    text = " ".join(line.text for line in lines).lower()
    return "".join(c for c in text if c.isalnum() or c.isspace()).split()


# --- odd text --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["", "   ", "\n\n", "!!!", "...", "—", "🙂🎉", "**", "``` ```", "你好", "\x00\x07", "---"]
)
def test_nothing_to_say_is_no_sound(voice: Synthesiser, text: str) -> None:
    speech = voice.speak(text)
    assert speech.samples.shape == (0,)
    assert speech.words == ()


@pytest.mark.parametrize(
    "text",
    [
        "Żółć naïve привет 你好 hello", "x" * 400, "a-b-c-d-e " * 40, "1" * 400, "$" * 50 + "5", "[x](/y/)",
        "\ud800 hi",
        "e\u0301te\u0301 caf\u00e9", "…….,;:?!hello", "\"'“”", "<script>alert(1)</script> ok", "I" * 100,
    ],
)  # fmt: skip
def test_odd_text_is_survived(voice: Synthesiser, text: str) -> None:
    samples = voice.speak(text).samples
    assert samples.dtype == np.float32
    assert np.isfinite(samples).all()


def test_long_text_comes_in_pieces_of_a_sentence_or_clause(voice: Synthesiser) -> None:
    text = (SENTENCE[:-1] + ", " + SENTENCE + " ") * 29
    assert len(text) > 4900
    pieces = voice.stream(text)
    first = next(pieces)
    assert first.seconds < 12
    rest = list(pieces)
    assert max(piece.seconds for piece in rest) < 15
    assert [word.text for piece in (first, *rest) for word in piece.words] == text.split()


def test_a_file_that_is_no_voice_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"not a network")
    with pytest.raises(ValueError, match="is not a hibari voice"):
        Synthesiser(wrong)
    with pytest.raises(OSError, match="No such file"):
        Synthesiser(tmp_path / "missing.onnx")


def test_neutral_is_the_default() -> None:
    assert Controls() == NEUTRAL
