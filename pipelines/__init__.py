"""What an engineer composes with. Importing it loads no model, no vendor's library and no Pipecat.

The stages to edit with (`STT`, `TTS`, …) are in `pipelines.definition`.
"""

from pipelines.advanced_cascade import ADVANCED_CASCADE
from pipelines.assemble import assemble
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.definition import Architecture, Capability, DefinitionError, Port, Stage
from pipelines.duplex_fused import DUPLEX_FUSED
from pipelines.half_cascade import HALF_CASCADE
from pipelines.hybrid import HYBRID
from pipelines.lab.choose import Needs, choose
from pipelines.personas import Persona, PersonaError
from pipelines.sequential_fused import SEQUENTIAL_FUSED
from pipelines.stacks import Service, Session, Stack, StackError
from pipelines.stacks.cloud import CLOUD
from pipelines.stacks.embedded import EMBEDDED

__all__ = [
    "ADVANCED_CASCADE",
    "BASIC_CASCADE",
    "CLOUD",
    "DUPLEX_FUSED",
    "EMBEDDED",
    "HALF_CASCADE",
    "HYBRID",
    "SEQUENTIAL_FUSED",
    "Architecture",
    "Capability",
    "DefinitionError",
    "Needs",
    "Persona",
    "PersonaError",
    "Port",
    "Service",
    "Session",
    "Stack",
    "StackError",
    "Stage",
    "assemble",
    "choose",
]
