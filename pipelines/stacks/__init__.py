"""Which service fills each slot."""

from pipelines.stacks.stack import Progress, Service, Session, Stack, StackError

__all__ = ["Progress", "Service", "Session", "Stack", "StackError"]
