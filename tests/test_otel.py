"""Pipecat's spans of a conversation arrive at a collector, over HTTP."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from pipecat.frames.frames import Frame, LLMContextFrame
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.utils.tracing.service_decorators import traced_llm, traced_stt, traced_tts
from typer.testing import CliRunner

from pipelines.app import spans
from pipelines.app.cli import app
from pipelines.app.reply import hold
from pipelines.basic_cascade import BASIC_CASCADE
from pipelines.definition import Capability
from pipelines.lab import virtual
from pipelines.personas import Persona
from pipelines.stacks import Service, Stack
from processors.embedded.stt import EmbeddedSTTService
from tests import standin
from tests.speech import say

FERNI = Persona(name="Ferni", instructions="Be brief.")
ANSWER = "I can sing one note."


class Ears(EmbeddedSTTService):
    """Hears the same in everything, with spans."""

    @traced_stt
    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        async for frame in super().run_stt(audio):
            yield frame


class Mind(standin.ScriptedLLM):
    """Answers by script, with spans."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, LLMContextFrame):
            await self._process_context(frame.context, frame, direction)
        else:
            await super().process_frame(frame, direction)

    @traced_llm
    async def _process_context(self, context: LLMContext, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)


class Voice(standin.ToneTTS):
    """Sings, with spans."""

    @traced_tts
    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        async for frame in super().run_tts(text, context_id):
            yield frame


STACK = Stack(
    "spans",
    {
        "STT": Service("ears", lambda session: Ears(lambda samples: "What can you do?")),
        "LLM": Service("mind", lambda session: Mind(ANSWER), frozenset({Capability.TEXT_OUT})),
        "TTS": Service("voice", lambda session: Voice(), frozenset({Capability.WORD_TIMESTAMPS})),
    },
)


@contextmanager
def collector(asked: list[tuple[str, bytes]]) -> Iterator[str]:
    """A collector on loopback that keeps the path and the body of each request."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def test_the_spans_of_a_turn_arrive_and_hang_together() -> None:
    asked: list[tuple[str, bytes]] = []
    with collector(asked) as url:
        spans.export(url)
        virtual.run(hold(BASIC_CASCADE, STACK, FERNI, [say("What can you do?")], tracing=True), measured=True)
        provider = trace.get_tracer_provider()
        assert isinstance(provider, TracerProvider)
        assert provider.force_flush()
        # A live exporter would go on retrying in its thread, in the middle of other tests.
        provider.shutdown()
    assert {path for path, _ in asked} == {"/v1/traces"}
    found = [
        span
        for _, body in asked
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    (conversation,) = (span for span in found if span.name == "conversation")
    turns = [span for span in found if span.name == "turn"]
    assert {span.parent_span_id for span in turns} == {conversation.span_id}
    for service in ("stt", "llm", "tts"):
        own = [span for span in found if span.name == service]
        assert own, service
        assert {span.parent_span_id for span in own} <= {span.span_id for span in turns}
    said = {attribute.key: attribute.value.string_value for span in found for attribute in span.attributes}
    assert said["text"] == ANSWER


@pytest.mark.parametrize("url", ["localhost:4318", "ftp://localhost", "http://"])
def test_what_is_no_address_is_refused_in_one_line(url: str) -> None:
    done = CliRunner().invoke(app, ["daily", "--room-url", "https://a.daily.co/b", "--otlp", url])
    assert done.exit_code == 2
    assert "is no address of a collector: write it as http://localhost:4318" in " ".join(done.output.split())


def test_the_environments_address_is_taken() -> None:
    done = CliRunner().invoke(
        app, ["daily", "--room-url", "https://a.daily.co/b"], env={"OTEL_EXPORTER_OTLP_ENDPOINT": "nowhere"}
    )
    assert "'nowhere' is no address of a collector" in " ".join(done.output.split())


def test_help_says_that_spans_hold_what_was_said() -> None:
    for command in ("talk", "reply", "daily"):
        shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
        assert "They hold what was said." in " ".join(shown.split()), command
