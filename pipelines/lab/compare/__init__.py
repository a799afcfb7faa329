"""One conversation through every architecture, side by side: `compare` holds it, `page` shows it."""

from pipelines.lab.compare.claims import Claim, claims
from pipelines.lab.compare.comparison import COLUMNS, Cell, Column, Comparison, Kind, Row, compare
from pipelines.lab.compare.conversation import PARCEL
from pipelines.lab.compare.report import page
from pipelines.lab.compare.run import Answer, Run, Sound

__all__ = [
    "COLUMNS",
    "PARCEL",
    "Answer",
    "Cell",
    "Claim",
    "Column",
    "Comparison",
    "Kind",
    "Row",
    "Run",
    "Sound",
    "claims",
    "compare",
    "page",
]
