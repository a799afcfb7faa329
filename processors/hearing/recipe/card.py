"""The model card that goes with the heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from processors.hearing import encoder, prosody
from processors.hearing.recipe.measuring import Figure

_HEAD = """# Heads of hearing

Linear heads on {encoder} numbers of Moonshine tiny's encoder (mean and standard deviation over time, after its second
and its fifth layer) and {prosody} of prosody, for 16 kHz mono speech. Made by `antiphon train hearing` with seed
{seed}; the same data gives the same files.

- `emotions.npz`: {emotions}. Trained on the Berlin Database of Emotional Speech (EmoDB): 7 of its 10 speakers, cut to
  two seconds. Free use with citation; re-released under CC0-1.0. What in a voice has nothing to do with emotion (words,
  speakers, rooms, another language) is learnt from the readers of speechocean762 as well, without their labels, and so
  is how sure the head may be of itself: fluent readers are taken as neutral there.
- `hesitation.npz`: fluent, hesitant. Trained on speechocean762: read English of Mandarin speakers, scored by five
  experts. CC BY 4.0.

Each recording is heard clean, over a telephone band, in noise (no ESC-50) and resampled by .93 and 1.08, every copy of
a speaker as a speaker of its own. Nothing is trained on RAVDESS, whose licence forbids it: it is measured with.

Citations: F. Burkhardt, A. Paeschke, M. Rolfes, W. Sendlmeier, B. Weiss, "A Database of German Emotional Speech",
Interspeech 2005. J. Zhang et al., "speechocean762: An Open-Source Non-native English Speech Corpus For Pronunciation
Assessment", Interspeech 2021. S. Livingstone, F. Russo, "The Ryerson Audio-Visual Database of Emotional Speech and
Song", PLoS ONE 2018 (measured with only).

## How they are meant
They tell a voice assistant how an answer may be said. They don't tell what somebody feels: the training data is acted,
by Germans, in a studio. Not for judging people, whether at work, at school, at a border or for credit.

## Figures
Of speakers that nothing was trained on. Unweighted average recall unless said, with 95 % intervals over speakers, who
are few. "In order": each turn judged on those before it, five shuffled orders.
"""

_LIMITS = """
## Limits
- Acted speech only; RAVDESS has two sentences, EmoDB ten. Happy and angry are often taken for each other.
- Speech that is quiet and low is taken for sad: most of the fluent readers of speechocean762 and of a meeting are. The
  language model is therefore told of sadness only where it is all but certain, and anger and liveliness are what this
  head is good for.
- Settings (shrinkage, other speech, layers, how little of a caller's own is believed) were chosen on RAVDESS' first
  eight actors among some forty, with earlier looks at all of it; the last eight stand by themselves above, and are the
  figure to believe. Spreads and temperature were chosen without RAVDESS.
- Hesitation is learnt from readers of a second language, not from callers searching for words.
- Half a second of speech is too little for more than a hint.
"""


def written(tables: Mapping[str, Sequence[Figure]], classes: Sequence[str], seed: int) -> str:
    """The card as Markdown.

    Args:
        tables: Figures, by what they are of.
        classes: Of the head of emotions.
        seed: Of the training.
    """
    parts = [_HEAD.format(encoder=encoder.SIZE, prosody=prosody.SIZE, seed=seed, emotions=", ".join(classes))]
    for title, rows in tables.items():
        lines = "\n".join(f"| {row.name} | {row} |" for row in rows)
        parts.append(f"\n### {title}\n| | |\n|---|---|\n{lines}\n")
    return "".join([*parts, _LIMITS])
