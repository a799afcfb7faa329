"""Speech synthesis on the bundled hibari voice: samples, and when each written word is said.

The network returns, for every phoneme, how long it lasts, and for every 12.5 ms the fundamental frequency and the
spectra of its voiced, breathy and noisy parts. Words are timed by the first; pitch, range, formant, tilt and breath are
changes of the others before they become a waveform.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
from hibari import dsp
from hibari.g2p import G2P
from numpy.typing import NDArray
from scipy import fft

from processors.pcm import Samples
from processors.speaking.spoken import Spoken, spoken

SAMPLE_RATE = 24_000

_RANGES = {
    "pitch": (-12.0, 12.0, "semitones"),
    "range": (0.0, 2.5, "times the voice's own"),
    "formant": (0.75, 1.35, "times the voice's own"),
    "tilt": (-6.0, 6.0, "dB per octave"),
    "breath": (-12.0, 18.0, "dB"),
    "speed": (0.5, 2.0, "times the voice's own"),
    "volume": (-40.0, 12.0, "dB"),
}


@dataclass(frozen=True)
class Controls:
    """How the voice differs from its own way of speaking. The defaults change nothing.

    Raises:
        ValueError: if a control is not a number in its range.
    """

    pitch: float = 0.0
    """Semitones added to the fundamental frequency, -12 to 12. The neutral voice lies near 190 Hz."""
    range: float = 1.0
    """How far the melody moves from its mean, as a ratio: 0 (monotone) to 2.5."""
    formant: float = 1.0
    """Ratio by which the spectral envelope is stretched, 0.75 (a larger speaker) to 1.35 (a smaller one)."""
    tilt: float = 0.0
    """dB per octave added to the spectrum at the same A-weighted level, -6 (dark, soft) to 6 (bright, pressed)."""
    breath: float = 0.0
    """dB added to the breath in voiced sounds, -12 to 18. Consonants keep theirs."""
    speed: float = 1.0
    """Ratio of pace, 0.5 (slow) to 2."""
    volume: float = 0.0
    """dB added to the level, -40 to 12; peaks are kept below full scale."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value, (low, high, unit) = getattr(self, field.name), _RANGES[field.name]
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not low <= value <= high:
                raise ValueError(f"{field.name} is {value!r}: give a number from {low:g} to {high:g} ({unit})")


NEUTRAL = Controls()


@dataclass(frozen=True)
class SpokenWord:
    """A written word with the seconds between which it is heard, counted from the first sample of its Speech."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Speech:
    """Mono float32 samples in [-1, 1] at 24 kHz, and every written word of the text in order.

    A word that is not said (an emoji, a bullet) has no length. A text without a sound has no samples and no words.
    """

    samples: Samples
    words: tuple[SpokenWord, ...]

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


SILENT = Speech(np.zeros(0, np.float32), ())

# The network's durations: int64, one per phoneme, in frames of 25 ms. They exist in the graph but are no output of it.
_DURATIONS = "/Cast_32_output_0"
_FRAME = 600  # samples per duration
_BIN = 20.0  # Hz per bin of the spectra
# Sound comes this much before its phoneme's frames: fricatives set in 90 to 130 ms before and end 30 to 50 ms before
# (12 of them measured at each of three speeds). Together with half of the space beside it a word is met within 40 ms.
_LEAD = 3 * _FRAME
_AUDIBLE = 10 ** (-60 / 20)  # RMS of 2.5 ms; the silence around an utterance lies below -130 dBFS
_BLOCK = 60
_KEPT_BEFORE, _KEPT_AFTER = 240, 720  # samples left around what is audible
_PAUSES = {**dict.fromkeys(".!?…", 0.25), **dict.fromkeys(",;:—", 0.12)}  # seconds of silence after a piece
_PAUSE_OTHERWISE = 0.03
_LONGEST = 160  # characters said in one piece, about ten seconds
_PUNCTUATION = frozenset(';:,.!?—…"“”() ')
_PEAK = 0.97


class _Sound(NamedTuple):
    """What the network returns: spectra of [601, frames], F0 of [frames], and durations of [phonemes]."""

    harmonic: Samples
    rotation: Samples
    noise: Samples
    breath: Samples
    phase: Samples
    f0: Samples
    durations: NDArray[np.int64]


class Synthesiser:
    """The voice and its pronunciation, loaded once. `speak` may be called from many threads at the same time."""

    def __init__(self, model: Path) -> None:
        """Load the voice.

        Args:
            model: The voice's ONNX file, already verified.

        Raises:
            OSError: if the file can't be read.
            ValueError: if it is not a hibari voice.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                _with_durations(model.read_bytes()), options, providers=["CPUExecutionProvider"]
            )
        except OSError:
            raise
        except Exception as error:  # onnxruntime's own exceptions derive from Exception alone
            raise ValueError(f"{model} is not a hibari voice: give the file of weight hibari-heart") from error
        self._ids: dict[str, int] = json.loads(files("hibari").joinpath("assets/vocab.json").read_text("utf-8"))
        self._g2p = G2P()
        self._g2p("Xyzzyx")  # loads the network for unknown words now, and not in mid-call

    def speak(self, text: str, controls: Controls = NEUTRAL) -> Speech:
        """Say a text of any length. The same text and controls give the same samples."""
        pieces = list(self.stream(text, controls))
        words: list[SpokenWord] = []
        before = 0.0
        for piece in pieces:
            words += (SpokenWord(word.text, before + word.start, before + word.end) for word in piece.words)
            before += piece.seconds
        return Speech(np.concatenate([piece.samples for piece in pieces]), tuple(words)) if pieces else SILENT

    def stream(self, text: str, controls: Controls = NEUTRAL) -> Iterator[Speech]:
        """Say a text sentence by sentence, long sentences clause by clause, each as soon as it is ready."""
        for piece in _pieces(spoken(text)):
            speech = self._speak(piece, controls)
            if len(speech.samples):
                yield speech

    def _speak(self, entries: list[Spoken], controls: Controls) -> Speech:
        phonemes, spans = self._phonemes(entries)
        if not any(phoneme in self._ids and phoneme not in _PUNCTUATION for phoneme in phonemes):
            return SILENT
        known = [phoneme in self._ids for phoneme in phonemes]
        ids = [0, *(self._ids[phoneme] for phoneme in phonemes if phoneme in self._ids), 0]
        outputs = self._session.run(
            None, {"ids": np.array([ids], np.int64), "speed": np.array([controls.speed], np.float32)}
        )
        sound = _Sound._make([*(output[0] for output in outputs[:-1]), outputs[-1]])
        samples = _waveform(sound, controls)
        first, last = _audible(samples)
        if last <= first:
            return SILENT
        # Where each phoneme begins, in samples of the trimmed speech; one that has no sound of its own takes no time.
        begins = np.concatenate(([0], np.cumsum(sound.durations) * _FRAME))[1:-1] - _LEAD - first
        place = np.concatenate(([0], np.cumsum(known)))
        words = _timed(entries, phonemes, spans, begins[place], last - first)
        pause = int(_PAUSES.get(phonemes.rstrip('"”) ')[-1:], _PAUSE_OTHERWISE) / controls.speed * SAMPLE_RATE)
        return Speech(_finished(samples[first:last], pause, controls.volume), words)

    def _phonemes(self, entries: list[Spoken]) -> tuple[str, list[tuple[int, int]]]:
        """The phonemes of all entries, and where in them each entry's lie."""
        tokens = self._g2p.tokenize(" ".join(entry.said for entry in entries if entry.said))
        for before, token in pairwise(tokens):
            if token.text == "A" and before.text != "“":
                token.phonemes, token.rating = "ˈA", 5  # a letter: the article has no capital in mid-sentence
        groups = [""]
        for token in self._g2p.phonemize_tokens(tokens):
            groups[-1] += token.phonemes or ""
            if token.whitespace:
                groups.append("")
        phonemes, spans = "", []
        for entry in entries:
            count = len(entry.said.split())
            said, groups = " ".join(group for group in groups[:count] if group), groups[count:]
            if said and phonemes:
                phonemes += " "
            spans.append((len(phonemes), len(phonemes) + len(said)))
            phonemes += said
        return phonemes, spans


def _with_durations(graph: bytes) -> bytes:
    """Make the durations an output: Protocol Buffers merges a message with whatever of the kind is appended to it."""
    added = _DURATIONS.encode()
    for field in (1, 12, 7):  # ValueInfoProto.name in GraphProto.output in ModelProto.graph
        added = bytes([field << 3 | 2, len(added)]) + added
    return graph + added


def _pieces(entries: list[Spoken]) -> Iterator[list[Spoken]]:
    """Cut after sentences, and inside long ones after the last clause, or else the last word, that still fits.

    What is not said stays with the words before it.
    """
    piece: list[Spoken] = []
    for entry in entries:
        said = [e for e in piece if e.said]
        if entry.said and said and said[-1].said[-1] in ".!?…":
            yield piece
            piece = []
        piece.append(entry)
        if entry.said and len(piece) > 1 and sum(len(e.said) + 1 for e in piece) > _LONGEST:
            clauses = [i for i, e in enumerate(piece[:-1], 1) if e.said and e.said[-1] in ",;:—"]
            cut = clauses[-1] if clauses else len(piece) - 1
            yield piece[:cut]
            piece = piece[cut:]
    if piece:
        yield piece


def _timed(
    entries: list[Spoken],
    phonemes: str,
    spans: list[tuple[int, int]],
    begins: NDArray[np.int64],
    length: int,
) -> tuple[SpokenWord, ...]:
    """Time each written word.

    Args:
        entries: The written words and what is said for them.
        phonemes: What is said for all of them.
        spans: Where in `phonemes` each entry's lie.
        begins: The sample at which each phoneme begins, and the one at which the last ends.
        length: Samples until the last sound ends.
    """
    heard = [
        [i for i in range(start, end) if phonemes[i] not in _PUNCTUATION and begins[i + 1] > begins[i]]
        for start, end in spans
    ]
    said = [i for i, indexes in enumerate(heard) if indexes]
    words = []
    at = 0
    for i, (entry, indexes) in enumerate(zip(entries, heard, strict=True)):
        if not indexes:
            words.append(SpokenWord(entry.written, at / SAMPLE_RATE, at / SAMPLE_RATE))
            continue
        first, last = indexes[0], indexes[-1]
        start, end = int(begins[first]), int(begins[last + 1])
        if first and phonemes[first - 1] in _PUNCTUATION:
            start -= min(start - int(begins[first - 1]), 2 * _FRAME) // 2
        if last + 1 < len(phonemes):
            end += min(int(begins[last + 2]) - end, 2 * _FRAME) // 2
        start = 0 if i == said[0] else min(max(start, at), length)
        end = length if i == said[-1] else min(max(end, start), length)
        words.append(SpokenWord(entry.written, start / SAMPLE_RATE, end / SAMPLE_RATE))
        at = end
    return tuple(words)


def _waveform(sound: _Sound, controls: Controls) -> Samples:
    """Change the voice by `controls` and make it audible."""
    harmonic, rotation, noise, breath, phase, f0 = sound[:6]
    voiced = f0 > 40.0  # as in hibari.dsp.pulses
    if controls.pitch or controls.range != 1.0 or controls.formant != 1.0:
        harmonic, rotation = _envelope(harmonic, rotation, np.where(voiced, f0, _BIN), controls.formant)
        if controls.formant != 1.0:
            noise, breath = (_stretched(spectrum, controls.formant) for spectrum in (noise, breath))
        if voiced.any():
            melody = np.log(f0[voiced])
            mean = melody.mean()
            moved = np.exp(mean + controls.range * (melody - mean) + controls.pitch * math.log(2) / 12)
            f0 = f0.copy()
            f0[voiced] = np.clip(moved, 50.0, 800.0)
    if controls.breath:
        breath = breath + np.float32(_nepers(controls.breath)) * _voicing(harmonic, breath)
    samples: Samples = dsp.synth(harmonic, rotation, noise, breath, phase, f0, np.random.default_rng(0))
    return _tilted(samples, controls.tilt) if controls.tilt else samples


def _envelope(harmonic: Samples, rotation: Samples, f0: Samples, formant: float) -> tuple[Samples, Samples]:
    """The voiced spectrum and its phase between the harmonics, stretched by `formant`.

    The network was only ever heard at the multiples of its own F0. What it returns between them is arbitrary, up to
    8 dB off, and has to be made from the harmonics on both sides before another F0 or formant samples it there.
    """
    apart = (f0 / _BIN).astype(np.float32)  # bins from one harmonic to the next
    place = np.arange(len(harmonic), dtype=np.float32)[:, None] / (formant * apart)
    below = np.maximum(np.floor(place), 1)
    weight = np.clip(place - below, 0, 1)
    frames = np.arange(len(f0))

    def at(multiple: Samples) -> NDArray[np.int64]:
        bins: NDArray[np.int64] = np.minimum(np.rint(multiple * apart), len(harmonic) - 1).astype(np.int64)
        return bins

    low, high = harmonic[at(below), frames], harmonic[at(below + 1), frames]
    return low + weight * (high - low), rotation[at(np.maximum(np.rint(place), 1)), frames]


def _voicing(harmonic: Samples, breath: Samples) -> Samples:
    """How voiced each frame is, 0 to 1: in vowels the voice is 15 to 40 dB above the breath, in fricatives far below.

    F0 does not tell, since the network carries it on through consonants.
    """
    voice, air = (np.exp(2 * np.minimum(spectrum[::4], 7)).mean(axis=0) for spectrum in (harmonic, breath))
    voicing: Samples = np.clip(10 * np.log10(voice / air) / 12, 0, 1).astype(np.float32)
    return voicing


def _stretched(spectrum: Samples, ratio: float) -> Samples:
    """Stretch a spectrum along its frequencies."""
    source = np.minimum(np.arange(len(spectrum)) / ratio, len(spectrum) - 1)
    below = np.minimum(source.astype(int), len(spectrum) - 2)
    weight = (source - below).astype(np.float32)[:, None]
    stretched: Samples = spectrum[below] * (1 - weight) + spectrum[below + 1] * weight
    return stretched


def _nepers(decibels: float) -> float:
    return decibels * math.log(10) / 20


def _tilted(samples: Samples, slope: float) -> Samples:
    """Tilt the spectrum by `slope` dB per octave between 100 Hz and 8 kHz, at the same A-weighted level."""
    size = fft.next_fast_len(len(samples) + SAMPLE_RATE // 20, real=True)
    hertz = fft.rfftfreq(size, 1 / SAMPLE_RATE)
    gain = np.exp(_nepers(slope) * np.log2(np.clip(hertz, 100.0, 8000.0) / 1000.0))
    spectrum = fft.rfft(samples, size)
    loudness = np.square(np.abs(spectrum) * _a_weights(hertz))
    gain *= np.sqrt(loudness.sum() / max(np.square(gain) @ loudness, 1e-12))
    tilted: Samples = fft.irfft(spectrum * gain.astype(np.float32), size)[: len(samples)].astype(np.float32)
    return tilted


def _a_weights(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """The A curve of IEC 61672, unnormalised."""
    square = np.square(hertz)
    weights: NDArray[np.float64] = np.square(square) / (
        (square + 20.6**2) * np.sqrt((square + 107.7**2) * (square + 737.9**2)) * (square + 12194.0**2)
    )
    return weights


def _audible(samples: Samples) -> tuple[int, int]:
    """The first and last sample to keep."""
    blocks = samples[: len(samples) // _BLOCK * _BLOCK].reshape(-1, _BLOCK)
    loud = np.flatnonzero(np.square(blocks).mean(axis=1) > _AUDIBLE**2)
    if not len(loud):
        return 0, 0
    return (
        max(int(loud[0]) * _BLOCK - _KEPT_BEFORE, 0),
        min((int(loud[-1]) + 1) * _BLOCK + _KEPT_AFTER, len(samples)),
    )


def _finished(samples: Samples, pause: int, volume: float) -> Samples:
    """Fade the cut edges, set the level and append `pause` samples of silence."""
    finished = np.zeros(len(samples) + pause, np.float32)
    finished[: len(samples)] = samples
    ramp = np.linspace(0, 1, _KEPT_BEFORE // 2, dtype=np.float32)
    finished[: len(ramp)] *= ramp
    finished[len(samples) - len(ramp) : len(samples)] *= ramp[::-1]
    finished *= np.float32(10 ** (volume / 20))
    peak = float(np.abs(finished).max())
    return finished * np.float32(_PEAK / peak) if peak > _PEAK else finished
