"""Exports what Pipecat traces, as OpenTelemetry's spans by OTLP over HTTP. Spans hold what was said."""

from __future__ import annotations

from urllib.parse import urlsplit

PATH = "/v1/traces"
EXPORT_SECS = 5.0
"""How long a collector may take, also at the end of the process."""


class SpansError(ValueError):
    """An address that no spans can be sent to. One line."""

    mendable = True


def export(url: str) -> None:
    """Send the spans of all conversations of this process that are assembled with `tracing=True`.

    Args:
        url: The collector's address, as http://localhost:4318. Spans go to /v1/traces under it.

    Raises:
        SpansError: If it is no such address.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SpansError(f"{url!r} is no address of a collector: write it as http://localhost:4318")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from pipecat.utils.tracing.setup import setup_tracing

    endpoint = url.rstrip("/").removesuffix(PATH) + PATH
    setup_tracing("antiphon", OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_SECS))
