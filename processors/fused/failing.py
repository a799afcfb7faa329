"""What is told of a line to a server that fails, and when it is given up."""

from __future__ import annotations

from loguru import logger
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.utils.errors import ErrorCategory, classify_http_status_code
from websockets.exceptions import InvalidStatus


async def gives_up(
    service: FrameProcessor, what: str, failure: Exception | None, *, failures: int, attempts: int
) -> bool:
    """Report the first of several failures, and the last.

    Args:
        service: Whose line it is.
        what: Who has failed, and how.
        failure: Why.
        failures: How many there were in a row.
        attempts: How many more there are before it is given up.

    Returns:
        Whether it is given up, as it is at once where the server refuses for good.
    """
    category = ErrorCategory.CONNECTIVITY
    if isinstance(failure, InvalidStatus):
        refusal = classify_http_status_code(failure.response.status_code)
        category = refusal if refusal.is_permanent else category
    last = category.is_permanent or failures > attempts
    if last:
        await service.push_error(f"{what}; given up", failure, category=category, force_treat_as_permanent=True)
    elif failures == 1:
        await service.push_error(f"{what}; trying again", failure, category=category)
    else:
        logger.warning(f"{what}, {failures} times in a row")
    return last


def words(failure: Exception | None, connect_secs: float) -> str:
    """A failure to have a line, in words.

    Args:
        failure: What it was.
        connect_secs: How long an answer was waited for.
    """
    if isinstance(failure, InvalidStatus):
        return f"refuses the line with {failure.response.status_code}"
    if isinstance(failure, TimeoutError):
        return f"does not answer within {connect_secs:g} s"
    return f"cannot be reached: {failure}"
