"""`antiphon talk`: a local web server with a page of its own, and a conversation for each browser that calls."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import uvicorn
from fastapi import FastAPI, HTTPException, Request, WebSocket
from fastapi.staticfiles import StaticFiles
from loguru import logger
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines import personas
from pipelines.app import garbage
from pipelines.app.ports import holder
from pipelines.app.web_gate import LARGEST_BODY, LONGEST_NAME, Gate, is_loopback
from pipelines.assemble import assemble, check

if TYPE_CHECKING:
    from pipecat.observers.base_observer import BaseObserver

    from pipelines.app.web_calls import Calls
    from pipelines.definition import Architecture
    from pipelines.lab.budget import Budget
    from pipelines.personas import Persona
    from pipelines.stacks import Stack
    from pipelines.stacks.stack import Progress
    from processors.hearing.tagger import Ear

PAGE = Path(__file__).parent / "web"

LINES = 4
"""Calls at a time. They share the models, so each one more makes all answers later."""

LOADING_THREAD = "loading models"


class ServerError(RuntimeError):
    """A server that cannot start. The message is one line: what is in the way, the mend."""

    mendable = True


class Offer(BaseModel):
    """What the page posts to start a call: with whom, if not with the one that the server was started with."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["offer"]
    sdp: str = Field(max_length=LARGEST_BODY)
    persona: str = Field(default="", max_length=LONGEST_NAME)


class NobodyError(ValueError):
    """There is no persona of that name to talk with. The message is one line."""


class Loading:
    """Loads a stack in a thread of its own, and knows how far it is.

    The thread is a daemon with an event loop of its own, so that whoever leaves while models load need not wait
    for them.

    Args:
        architecture: What to load for.
        stack: What to load.
        progress: Told as well, from any thread.
    """

    def __init__(self, architecture: Architecture, stack: Stack, progress: Progress | None = None) -> None:
        self.state: Literal["loading", "ready", "failed"] = "loading"
        self.error = ""
        self._parts: dict[str, float] = {}
        self._architecture = architecture
        self._stack = stack
        self._progress = progress
        self._done = asyncio.Event()

    @property
    def parts(self) -> dict[str, float]:
        """How much of each thing is loaded, 0 to 1."""
        return dict(self._parts)

    def start(self) -> None:
        """Begin, on the running event loop."""
        loop = asyncio.get_running_loop()

        def run() -> None:
            state: Literal["ready", "failed"] = "ready"
            error = ""
            try:
                # Pipecat and aiortc take seconds to import; done here, the page is there meanwhile.
                import pipelines.app.web_calls  # noqa: F401

                asyncio.run(self._stack.load(self._architecture, self._tell))
            except Exception as raised:
                state, error = "failed", " ".join(str(raised).split()) or type(raised).__name__
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._finish, state, error)

        threading.Thread(target=run, name=LOADING_THREAD, daemon=True).start()

    def _tell(self, what: str, done: float) -> None:
        self._parts[what] = min(max(float(done), 0.0), 1.0)
        if self._progress is not None:
            self._progress(what, done)

    def _finish(self, state: Literal["ready", "failed"], error: str) -> None:
        self.state, self.error = state, error
        self._done.set()

    async def wait(self) -> None:
        """Wait until it is ready or has failed."""
        await self._done.wait()


class Talk:
    """One architecture with one stack, talked to from the page.

    The page offers the personas that ship beside the one given. Whoever is chosen is held to the policy of that one: it
    is what the server was started with, and no page can have another.

    Args:
        architecture: What calls are assembled from.
        stack: Which service fills each slot.
        host: The name or address that the server listens on.
        persona: Who speaks if the page chooses nobody; `ferni` if none is given.
        observers: Makes what watches a conversation, for each anew.
        progress: Told how loading goes, from any thread.
        budget: What each call may cost.
        tracing: Whether to export spans.
        ears: Makes what hears one caller, for each call anew; None for the project's own.

    Raises:
        DefinitionError, StackError: As `check`.
    """

    def __init__(
        self,
        architecture: Architecture,
        stack: Stack,
        host: str = "127.0.0.1",
        persona: Persona | None = None,
        observers: Callable[[], list[BaseObserver]] = list,
        progress: Progress | None = None,
        budget: Budget | None = None,
        tracing: bool = False,
        ears: Callable[[], Ear] | None = None,
    ) -> None:
        self.persona = persona or personas.load("ferni")
        check(architecture, stack, ear=ears is not None, policy=self.persona.policy)
        self.architecture = architecture
        self.stack = stack
        self.host = host
        self.personas = {each.name: each for each in (self.persona, *self._others())}
        self.observers = observers
        self.budget = budget
        self.tracing = tracing
        self.ears = ears
        self.loading = Loading(architecture, stack, progress)
        self._calls: Calls | None = None

    @property
    def calls(self) -> Calls:
        """The conversations that are going on."""
        if self._calls is None:
            from pipelines.app.web_calls import Calls

            self._calls = Calls(
                lambda transport, persona: assemble(
                    self.architecture,
                    self.stack,
                    transport,
                    persona=persona,
                    observers=self.observers(),
                    budget=self.budget,
                    tracing=self.tracing,
                    others=tuple(self.personas.values()),
                    ear=self.ears() if self.ears is not None else None,
                ),
                host=self.host,
                limit=LINES,
            )
        return self._calls

    def _others(self) -> Sequence[Persona]:
        """Whom the page offers beside; nobody where the model is who it is."""
        writer = self.architecture.writer
        if writer is not None and not self.stack.services[writer.name].instructed:
            return ()
        return personas.others(self.persona)

    def chosen(self, name: str) -> Persona:
        """Who speaks in a call.

        Args:
            name: A persona's; empty for the one that the server was started with.

        Raises:
            NobodyError: If there is none of that name.
        """
        if not name:
            return self.persona
        if name not in self.personas:
            raise NobodyError(f"there is nobody of that name: choose {', '.join(sorted(self.personas))}")
        return self.personas[name]

    @property
    def not_ready(self) -> str:
        """Why no call can be taken yet, or ever."""
        return self.loading.error or "the models are still loading: wait until they are ready"

    def status(self) -> dict[str, Any]:
        """What the page shows of the server, as JSON."""
        services = {stage.name: self.stack.services[stage.name] for stage in self.architecture.services}
        return {
            "state": self.loading.state,
            "error": self.loading.error,
            "progress": [{"what": what, "done": done} for what, done in self.loading.parts.items()],
            "architecture": {"name": self.architecture.name, "summary": self.architecture.summary},
            "stack": {
                "name": self.stack.name,
                "services": {slot: service.name for slot, service in services.items()},
                "vendors": sorted({service.name for service in services.values() if service.keys}),
            },
            "persona": self.persona.name,
            "personas": [{"name": name, "summary": self.personas[name].summary} for name in sorted(self.personas)],
        }

    async def close(self) -> None:
        """End all calls."""
        if self._calls is not None:
            await self._calls.close()


def create_app(talk: Talk) -> FastAPI:
    """The page and its two doors, `/api/status` and `/api/offer`, and `/ws` for Pipecat's evals."""
    app = FastAPI(title="Antiphon", openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(Gate, host=talk.host)

    @app.get("/api/status")
    async def status() -> dict[str, Any]:
        return talk.status()

    @app.post("/api/offer")
    async def offer(request: Request) -> dict[str, str]:
        try:
            offer = Offer.model_validate_json(await request.body())
        except ValidationError:
            logger.warning("refused a request with 422: not an offer")
            raise HTTPException(422, 'send {"type": "offer", "sdp": "…"}, and "persona" to choose one') from None
        if talk.loading.state != "ready":
            raise HTTPException(503, talk.not_ready)
        from pipelines.app.web_calls import BadOfferError, BusyError

        try:
            return await talk.calls.answer(offer.sdp, talk.chosen(offer.persona))
        except (BadOfferError, NobodyError) as error:
            logger.warning(f"refused an offer: {error}")
            raise HTTPException(400, str(error)) from None
        except BusyError as error:
            logger.warning(f"refused an offer: {error}")
            raise HTTPException(503, str(error)) from None
        except Exception as error:
            logger.error(f"a call could not be set up: {type(error).__name__}: {error}")
            raise HTTPException(500, f"the conversation could not be set up: {error}") from None

    @app.websocket("/ws")
    async def evaluate(websocket: WebSocket) -> None:
        from pipelines.app.evals import NoEvalError, send_away
        from pipelines.app.web_calls import BusyError

        if not is_loopback(talk.host):
            # A harness may rewrite the context and speak in texts: more than a network is allowed.
            await send_away(websocket, "evals are answered on this machine only: leave --host out")
            return
        if talk.loading.state != "ready":
            await send_away(websocket, talk.not_ready)
            return
        try:
            await talk.calls.evaluate(websocket, talk.persona)
        except (BusyError, NoEvalError) as error:
            await send_away(websocket, str(error))
        except Exception as error:
            logger.error(f"an eval could not be set up: {type(error).__name__}: {error}")
            await send_away(websocket, f"the conversation could not be set up: {error}")

    @app.websocket("/{path:path}")
    async def nowhere(websocket: WebSocket) -> None:
        await websocket.close()

    app.mount("/", StaticFiles(directory=PAGE, html=True))
    return app


def bind(host: str, port: int) -> socket.socket:
    """A listening socket.

    Args:
        host: Name or address.
        port: 0 for any that is free.

    Raises:
        ServerError: If the port is taken, naming the process if it can be seen, or the address is not ours.
    """
    if not 0 <= port <= 65535:
        raise ServerError(f"{port} is no port: take one from 1024 to 65535 with --port")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ServerError(f"{host}: no such address here ({error}): leave --host out to listen on 127.0.0.1") from None
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            who = holder(port)
            by_whom = f" by {who}" if who else ""
            raise ServerError(
                f"port {port} is in use{by_whom}: end that, or take another with --port {port + 1}"
            ) from None
        if error.errno == errno.EACCES:
            raise ServerError(f"port {port} needs more rights than you have: take one above 1023 with --port") from None
        raise ServerError(
            f"{host}: cannot be listened on ({error.strerror}): leave --host out to listen on 127.0.0.1"
        ) from None
    listener.setblocking(False)
    return listener


class _Server(uvicorn.Server):
    """Ends on the first ctrl-C and leaves it at that: uvicorn's own raises the signal again when it is done."""

    stopped_by: int | None = None

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.stopped_by = sig
        super().handle_exit(sig, frame)


async def serve(
    talk: Talk,
    *,
    port: int = 7860,
    on_listening: Callable[[str], None] = lambda url: None,
    on_ready: Callable[[], None] = lambda: None,
    on_failed: Callable[[str], None] = lambda error: None,
) -> int:
    """Serve the page until ctrl-C or SIGTERM, or until cancelled.

    The port is taken first, then models load while the page shows how far they are.

    Args:
        talk: Whom the page talks to.
        port: Where to listen, 0 for any that is free.
        on_listening: Told the page's address, once it is served.
        on_ready: Told when models are loaded.
        on_failed: Told in one line why they could not be. The page goes on showing it.

    Returns:
        The exit status: 130 after ctrl-C, 143 after SIGTERM; 1 instead if the models could not be loaded.

    Raises:
        ServerError: If the port cannot be had.
    """
    listener = bind(talk.host, port)
    config = uvicorn.Config(
        create_app(talk),
        lifespan="off",
        ws="websockets-sansio",
        ws_max_size=LARGEST_BODY,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)

    async def follow() -> None:
        talk.loading.start()
        on_listening(_url(talk.host, listener.getsockname()[1]))
        await talk.loading.wait()
        if talk.loading.state == "ready":
            on_ready()
        else:
            logger.error(f"the models could not be loaded: {talk.loading.error}")
            on_failed(talk.loading.error)

    following = asyncio.create_task(follow())
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = True
        await serving
        following.cancel()
        await talk.close()
        listener.close()
    if talk.loading.state == "failed":
        return 1
    return 128 + server.stopped_by if server.stopped_by else 0


def _url(host: str, port: int) -> str:
    # A page on localhost may use the microphone without https; the machine's other names are not so trusted.
    name = "localhost" if host in ("127.0.0.1", "0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104
    return f"http://{name}:{port}"


def run(
    architecture: Architecture,
    stack: Stack,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    persona: Persona | None = None,
    observers: Callable[[], list[BaseObserver]] = list,
    progress: Progress | None = None,
    budget: Budget | None = None,
    tracing: bool = False,
    ears: Callable[[], Ear] | None = None,
    on_listening: Callable[[str], None] = lambda url: None,
    on_ready: Callable[[], None] = lambda: None,
    on_failed: Callable[[str], None] = lambda error: None,
) -> int:
    """`serve` for a command line: on an event loop of its own, ended by ctrl-C in every phase.

    End the process with `leave` afterwards.

    Args:
        architecture: What calls are assembled from.
        stack: Which service fills each slot.
        host: Where to listen. Anything but loopback lets a network in.
        port: As `serve`.
        persona: Who speaks; `ferni` if none is given.
        observers: Makes what watches a conversation, for each anew.
        progress: Told how loading goes, from any thread.
        budget: What each call may cost.
        tracing: Whether to export spans.
        ears: As `Talk`.
        on_listening: As `serve`.
        on_ready: As `serve`.
        on_failed: As `serve`.

    Returns:
        The exit status, as `serve`.

    Raises:
        ServerError: If the port cannot be had.
        DefinitionError, StackError: As `check`.
    """
    talk = Talk(architecture, stack, host, persona, observers, progress, budget, tracing, ears)
    with ExitStack() as held:

        def ready() -> None:
            held.enter_context(garbage.seldom())
            on_ready()

        try:
            return asyncio.run(serve(talk, port=port, on_listening=on_listening, on_ready=ready, on_failed=on_failed))
        except KeyboardInterrupt:
            return 130


def leave(status: int) -> NoReturn:
    """End the process, on the spot if models are still loading: nothing can stop one that is half loaded."""
    if any(thread.name == LOADING_THREAD for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
