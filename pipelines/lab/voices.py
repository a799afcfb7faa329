"""Whether the personas' voices are told apart by ear, and understood: pitch, resonance, identification, word errors.

Nothing here knows the settings. The pitch is the fundamental frequency by autocorrelation. The resonance is the
spectral envelope by linear prediction, averaged over voiced sound: where a speaker's formants lie. The timbre is the
long-term spectrum in mel bands, of a whole sentence. Identification asks whether pitch, timbre, or both, tell who says
a sentence: the nearest of the voices' means, which are taken from other sentences. Word errors are those of the
recogniser that listens to callers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
import soxr
from numpy.typing import NDArray
from rich.table import Table
from scipy import fft, linalg, signal

from pipelines import personas
from pipelines.lab.acoustics import AUDIBLE_DBFS
from pipelines.lab.bench_latency import machine
from processors.pcm import Samples
from processors.speaking.spoken import spoken

Floats: TypeAlias = NDArray[np.float64]

LEARNT = (
    "The morning train was late, so we walked along the canal.",
    "Please leave your name and a short message after the tone.",
    "I would rather sit by the window if that is possible.",
    "My brother plays the violin in a small orchestra.",
    "Which of these two colours do you like better?",
    "The soup is too hot, let it cool down for a minute.",
    "They painted the old fence green and white last summer.",
    "We can look at your booking together, one step at a time.",
)
"""Said to learn what each voice is like."""

ASKED = (
    "Nice to meet you, what can I do for you today?",
    "Could you tell me a little more about the problem?",
    "The boats were moored along the river bank.",
    "I am sorry to hear that your parcel has not arrived.",
    "She closed the door quietly and went upstairs.",
    "Let me check whether there is a table free on Friday.",
    "Our garden is full of apples at this time of the year.",
    "Thank you for waiting, I have found your order.",
    "Would you like me to read the address back to you?",
    "The children were playing football behind the school.",
    "It usually takes about three working days.",
    "A cold wind was blowing from the mountains.",
    "I don't know the answer, but we can think about it.",
    "Please turn left at the church and follow the road.",
    "He bought fresh bread and a bottle of milk.",
    "How long have you been living in this town?",
    "That sounds like a very good plan to me.",
    "The doctor can see you tomorrow at half past nine.",
    "You can change your password on the second page.",
    "We watched the stars until the fire went out.",
    "What would you like to talk about next?",
    "The library opens again on Monday morning.",
    "If the light is red, please hold the button down.",
    "Take a deep breath, and tell me what happened.",
)
"""Said to ask whose voice it is, and which words were heard."""

RATE = 16_000
WINDOW_SECS, HOP_SECS = 0.04, 0.02
LOWEST_HZ, HIGHEST_HZ = 60.0, 500.0
PERIODIC = 0.8
"""Autocorrelation, of at most 1, from which on a window counts as voiced."""

ENVELOPE_RATE = 10_000
ENVELOPE_ORDER = 12
"""Of the prediction: two poles for each formant below 5 kHz, and two for the slope."""

ENVELOPE_HZ = np.geomspace(250.0, 4500.0, 64)
MEL_BANDS, MEL_HZ = 28, (150.0, 7600.0)
CEPSTRA = 12
"""Numbers that a timbre is told by: the coarse shape of the mel spectrum, without its level."""

SHRINKAGE = 0.5
"""How much of the covariance of features within a voice is left out, for want of sentences to learn it from."""

STRETCHES = np.exp(np.arange(-0.45, 0.451, 0.01))
"""Ratios at which a voice's resonances are compared with those of the first."""

Speak = Callable[[str, str], Samples]
"""Says a sentence as a persona: its name and the text give mono samples at 16 kHz."""

Transcribe = Callable[[Samples], str]


@dataclass(frozen=True)
class Sound:
    """One sentence of one voice.

    Args:
        pitch: Median F0 in Hz.
        melody: From the tenth to the ninetieth percentile of F0, semitones.
        envelope: dB at `ENVELOPE_HZ`, with a mean of 0.
        timbre: `CEPSTRA` numbers, dB.
        seconds: From its first to its last sound.
        words: Words said.
        wrong: Words that were heard otherwise, not at all, or besides.
    """

    pitch: float
    melody: float
    envelope: Floats
    timbre: Floats
    seconds: float
    words: int = 0
    wrong: int = 0


@dataclass(frozen=True)
class Voice:
    """A persona's voice.

    Args:
        name: The persona's.
        pitch: Hz, median over sentences.
        melody: Semitones, median over sentences.
        formant: Ratio by which the resonances lie above those of the first voice.
        pace: Words a second.
        identified: Share of sentences that are known to be this voice's, by pitch and timbre.
        word_errors: Share of words.
    """

    name: str
    pitch: float
    melody: float
    formant: float
    pace: float
    identified: float
    word_errors: float


@dataclass(frozen=True)
class Pair:
    """How far two voices are apart.

    Args:
        one: A persona's name.
        other: Another's.
        semitones: Between their pitches.
        envelope: RMS difference of their resonances, dB.
    """

    one: str
    other: str
    semitones: float
    envelope: float


@dataclass(frozen=True)
class Voices:
    """All of them.

    Args:
        voices: In the order in which they were measured.
        pairs: Each two of them.
        identified: Share of sentences whose voice is known, by what tells: `pitch`, `timbre` and `both`.
        sentences: Sentences asked, of each voice.
    """

    voices: tuple[Voice, ...]
    pairs: tuple[Pair, ...]
    identified: Mapping[str, float]
    sentences: int


def run(on_sentence: Callable[[str, int, int], None], names: Sequence[str] | None = None) -> Voices:
    """Measure personas on the embedded voice, heard by the embedded recogniser.

    Args:
        on_sentence: Told before each sentence whose it is, how many are done and how many there are in all.
        names: Of the personas, as `pipelines.personas.load` takes them; all that ship if none are given, `ferni` first.

    Raises:
        PersonaError: If there is no such persona.
        ValueError: If one asks more of the voice than it can.
    """
    from pipelines.stacks.embedded import RECOGNISER

    if names is None:
        names = sorted(personas.names(), key=lambda name: name != "ferni")
    return measure(names, embedded(names), RECOGNISER.get().transcribe, on_sentence)


def embedded(names: Sequence[str]) -> Speak:
    """The personas on the embedded voice.

    Raises:
        PersonaError, ValueError: As `run`.
    """
    from pipelines.stacks.embedded import SYNTHESISER
    from processors.embedded.hibari import SAMPLE_RATE, Controls

    wanted: dict[str, dict[str, Any]] = {name: personas.load(name).voices.get("embedded", {}) for name in names}
    controls = {name: Controls(**settings) for name, settings in wanted.items()}

    def speak(name: str, text: str) -> Samples:
        samples: Samples = soxr.resample(SYNTHESISER.get().speak(text, controls[name]).samples, SAMPLE_RATE, RATE)
        return samples

    return speak


def measure(
    names: Sequence[str],
    speak: Speak,
    transcribe: Transcribe,
    on_sentence: Callable[[str, int, int], None] = lambda name, done, of: None,
    learnt: Sequence[str] = LEARNT,
    asked: Sequence[str] = ASKED,
) -> Voices:
    """Measure voices.

    Args:
        names: Whose they are, at least two.
        speak: Says a sentence as one of them.
        transcribe: Hears words in samples at 16 kHz.
        on_sentence: As `run`.
        learnt: Sentences to learn each voice from, at least two.
        asked: Other sentences, to ask whose voice it is and what was heard.

    Raises:
        ValueError: If there are too few voices or sentences.
    """
    if len(names) < 2 or len(learnt) < 2 or not asked:
        raise ValueError("give at least two voices, two sentences to learn from and one to ask")
    known: dict[str, list[Sound]] = {name: [] for name in names}
    heard: dict[str, list[Sound]] = {name: [] for name in names}
    total = len(names) * (len(learnt) + len(asked))
    for name in names:
        for number, text in enumerate((*learnt, *asked)):
            on_sentence(name, sum(len(each) for each in (*known.values(), *heard.values())), total)
            samples = speak(name, text)
            if number < len(learnt):
                known[name].append(sound(samples))
            else:
                heard[name].append(sound(samples, text, transcribe(samples)))
    shares = {by: _identified(known, heard, features) for by, features in FEATURES.items()}
    reference = _mean_envelope(heard[names[0]])
    voices = tuple(_voice(name, heard[name], reference, shares["both"][name]) for name in names)
    pairs = tuple(
        Pair(
            one.name,
            other.name,
            float(abs(12 * np.log2(one.pitch / other.pitch))),
            _rms(_mean_envelope(heard[one.name]) - _mean_envelope(heard[other.name])),
        )
        for one, other in combinations(voices, 2)
    )
    overall = {by: float(np.mean(list(each.values()))) for by, each in shares.items()}
    return Voices(voices, pairs, overall, len(asked))


def sound(samples: Samples, text: str = "", heard: str = "") -> Sound:
    """Measure one sentence.

    Args:
        samples: Mono at 16 kHz.
        text: What is said.
        heard: What the recogniser made of it.

    Raises:
        ValueError: If nothing in it is voiced.
    """
    windows, voiced, hertz = pitches(samples)
    if not voiced.any():
        raise ValueError("nothing here is voiced: give samples of somebody who speaks")
    loud = np.flatnonzero(np.abs(samples) > 10 ** (AUDIBLE_DBFS / 20))
    semitones = 12 * np.log2(np.percentile(hertz[voiced], [10, 90]))
    said = words(text)
    return Sound(
        float(np.median(hertz[voiced])),
        float(semitones[1] - semitones[0]),
        envelope(windows[voiced]),
        timbre(samples),
        float(loud[-1] - loud[0]) / RATE,
        len(said),
        errors(said, words(heard)),
    )


def pitches(samples: Samples) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """The fundamental frequency in windows of 40 ms, by normalised autocorrelation.

    Of the peaks that are nearly as high as the highest, the one with the shortest period is taken: the others are its
    multiples.

    Args:
        samples: Mono at 16 kHz.

    Returns:
        The windows, [n, 640]; whether each is voiced, [n]; and their Hz, [n], 0 where unvoiced.
    """
    size, hop = round(WINDOW_SECS * RATE), round(HOP_SECS * RATE)
    longest, shortest = round(RATE / LOWEST_HZ), round(RATE / HIGHEST_HZ)
    if len(samples) < size + longest:
        return np.zeros((0, size)), np.zeros(0, bool), np.zeros(0)
    spans = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), size + longest)[::hop]
    loudest = np.square(samples).max()
    hertz = np.zeros(len(spans))
    for number, span in enumerate(spans):
        window = span[:size]
        power = window @ window
        if power / size < 1e-3 * loudest:
            continue
        powers = np.convolve(np.square(span), np.ones(size), "valid")
        likeness = signal.correlate(span, window, "valid", "fft") / np.sqrt(powers * power + 1e-12)
        peaks, _ = signal.find_peaks(likeness)
        peaks = peaks[(peaks >= shortest) & (peaks < longest)]
        if not len(peaks) or likeness[peaks].max() < PERIODIC:
            continue
        peak = int(next(each for each in peaks if likeness[each] > 0.95 * likeness[peaks].max()))
        before, at, after = likeness[peak - 1 : peak + 2]
        hertz[number] = RATE / (peak + 0.5 * (before - after) / (before - 2 * at + after))
    return spans[:, :size], hertz > 0, hertz


def envelope(windows: Floats) -> Floats:
    """The spectral envelope of voiced sound, by linear prediction (autocorrelation method), averaged in dB.

    Args:
        windows: Of 40 ms at 16 kHz, [n, 640].

    Returns:
        dB at `ENVELOPE_HZ`, with a mean of 0, so that loudness is none of it.
    """
    low = soxr.resample(windows.T, RATE, ENVELOPE_RATE).T
    low = signal.lfilter([1.0, -0.95], [1.0], low, axis=1) * np.hamming(low.shape[1])
    levels = []
    for window in low:
        correlation = np.correlate(window, window, "full")[len(window) - 1 :][: ENVELOPE_ORDER + 1]
        correlation[0] = correlation[0] * (1 + 1e-6) + 1e-12
        coefficients = linalg.solve_toeplitz(correlation[:-1], -correlation[1:])
        _, response = signal.freqz([1.0], [1.0, *coefficients], worN=ENVELOPE_HZ, fs=ENVELOPE_RATE)
        levels.append(20 * np.log10(np.abs(response) + 1e-12))
    mean = np.mean(levels, axis=0)
    shape: Floats = mean - mean.mean()
    return shape


def timbre(samples: Samples) -> Floats:
    """The coarse shape of the long-term spectrum: mel cepstra 1 to `CEPSTRA`, in dB, without the level.

    Args:
        samples: Mono at 16 kHz.
    """
    hertz, power = signal.welch(samples, RATE, nperseg=512)
    low, high = (np.log1p(each / 700.0) for each in MEL_HZ)
    edges = 700.0 * np.expm1(np.linspace(low, high, MEL_BANDS + 2))
    rising = (hertz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - hertz) / (edges[2:] - edges[1:-1])[:, None]
    bands = 10 * np.log10(np.clip(np.minimum(rising, falling), 0, None) @ power + 1e-12)
    cepstra: Floats = fft.dct(bands, norm="ortho")[1 : CEPSTRA + 1]
    return cepstra


def stretch(envelope: Floats, reference: Floats) -> float:
    """The ratio by which the reference has to be stretched along its frequencies to be most like an envelope."""
    at = np.log(ENVELOPE_HZ)
    likeness = []
    for ratio in STRETCHES:
        within = (ENVELOPE_HZ / ratio >= ENVELOPE_HZ[0]) & (ENVELOPE_HZ / ratio <= ENVELOPE_HZ[-1])
        moved = np.interp(at[within] - np.log(ratio), at, reference)
        likeness.append(np.corrcoef(envelope[within], moved)[0, 1])
    return float(STRETCHES[int(np.argmax(likeness))])


def words(text: str) -> list[str]:
    """The words of a text as they are said, in lower case and without punctuation."""
    said = " ".join(each.said for each in spoken(text))
    return re.findall(r"[a-z0-9']+", said.lower().replace("’", "'"))


def errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Words put in, left out or changed, at least (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for number, word in enumerate(said, 1):
        before, row[0] = row[0], number
        for place, other in enumerate(heard, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (word != other))
    return row[-1]


def _pitch(sound: Sound) -> Floats:
    return np.array([12 * np.log2(sound.pitch)])


FEATURES: dict[str, Callable[[Sound], Floats]] = {
    "pitch": _pitch,
    "timbre": lambda sound: sound.timbre,
    "both": lambda sound: np.concatenate([_pitch(sound), sound.timbre]),
}
"""What may tell whose a sentence is."""


def _identified(
    known: Mapping[str, Sequence[Sound]], heard: Mapping[str, Sequence[Sound]], features: Callable[[Sound], Floats]
) -> dict[str, float]:
    """Each voice's share of sentences whose nearest mean is its own, by the Mahalanobis distance with the covariance
    that all voices share."""
    names = list(known)
    learnt = [np.array([features(each) for each in known[name]]) for name in names]
    means = np.array([rows.mean(axis=0) for rows in learnt])
    within = np.concatenate([rows - mean for rows, mean in zip(learnt, means, strict=True)])
    covariance = within.T @ within / len(within)
    own = np.diag(np.diag(covariance))
    inverse = np.linalg.inv((1 - SHRINKAGE) * covariance + SHRINKAGE * own + 1e-9 * np.eye(len(own)))
    shares = {}
    for name, sounds in heard.items():
        apart = np.array([features(each) for each in sounds])[:, None] - means
        nearest = np.einsum("svi,ij,svj->sv", apart, inverse, apart).argmin(axis=1)
        shares[name] = float((nearest == names.index(name)).mean())
    return shares


def _voice(name: str, sounds: Sequence[Sound], reference: Floats, identified: float) -> Voice:
    said = sum(each.words for each in sounds)
    return Voice(
        name,
        float(np.median([each.pitch for each in sounds])),
        float(np.median([each.melody for each in sounds])),
        stretch(_mean_envelope(sounds), reference),
        said / sum(each.seconds for each in sounds),
        identified,
        sum(each.wrong for each in sounds) / said,
    )


def _mean_envelope(sounds: Sequence[Sound]) -> Floats:
    mean: Floats = np.mean([each.envelope for each in sounds], axis=0)
    return mean


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.square(values).mean()))


def as_json(result: Voices) -> dict[str, Any]:
    """All figures."""
    return {
        "machine": machine(),
        "sentences": result.sentences,
        "identified": {by: round(share, 3) for by, share in result.identified.items()},
        "voices": [
            {
                "name": voice.name,
                "pitch_hz": round(voice.pitch, 1),
                "melody_semitones": round(voice.melody, 1),
                "formant_ratio": round(voice.formant, 3),
                "words_per_s": round(voice.pace, 2),
                "identified": round(voice.identified, 3),
                "word_error_rate": round(voice.word_errors, 4),
            }
            for voice in result.voices
        ],
        "pairs": [
            {
                "voices": [pair.one, pair.other],
                "pitch_semitones": round(pair.semitones, 1),
                "envelope_db": round(pair.envelope, 1),
            }
            for pair in result.pairs
        ],
    }


def table(result: Voices) -> Table:
    """The figures for people."""
    closest = min(result.pairs, key=lambda pair: pair.semitones)
    likest = min(result.pairs, key=lambda pair: pair.envelope)
    shares = ", ".join(f"{by} {share:.0%}" for by, share in result.identified.items())
    shown = Table(
        title=f"The voices, over {result.sentences} sentences of each",
        caption=f"Identified by {shares}.\n"
        f"Closest in pitch: {closest.one} and {closest.other}, {closest.semitones:.1f} semitones; "
        f"in resonance: {likest.one} and {likest.other}, {likest.envelope:.1f} dB.",
    )
    shown.add_column("")
    for column in ("pitch", "melody", "formants", "words/s", "identified", "word errors"):
        shown.add_column(column, justify="right")
    for voice in result.voices:
        shown.add_row(
            voice.name,
            f"{voice.pitch:.0f} Hz",
            f"{voice.melody:.1f} st",
            f"×{voice.formant:.2f}",
            f"{voice.pace:.1f}",
            f"{voice.identified:.0%}",
            f"{voice.word_errors:.1%}",
        )
    return shown
