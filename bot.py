"""What Pipecat Cloud calls for each conversation: its base image looks for `bot` in this file."""

from pipelines.app.bot import bot

__all__ = ["bot"]
