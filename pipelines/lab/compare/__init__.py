"""One conversation through every architecture, side by side: `compare` holds it, `page` shows it."""

from pipelines.lab.compare.cells import COLUMNS, Cell, Column, Kind
from pipelines.lab.compare.claims import Claim, claims
from pipelines.lab.compare.comparison import Comparison, Row, compare
from pipelines.lab.compare.conversation import PARCEL
from pipelines.lab.compare.errors import Error, LongCall
from pipelines.lab.compare.half_hour import MINUTES as LONG_MINUTES
from pipelines.lab.compare.half_hour import long_call
from pipelines.lab.compare.report import page
from pipelines.lab.compare.run import Answer, Run, Sound

__all__ = [
    "COLUMNS",
    "LONG_MINUTES",
    "PARCEL",
    "Answer",
    "Cell",
    "Claim",
    "Column",
    "Comparison",
    "Error",
    "Kind",
    "LongCall",
    "Row",
    "Run",
    "Sound",
    "claims",
    "compare",
    "long_call",
    "page",
]
