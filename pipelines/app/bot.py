"""The entry that Pipecat's own runner looks for.

`python -m pipelines.app.bot` serves the `advanced_cascade` with that runner: WebRTC in its page, a Daily room with
`-t daily`, evals on `/ws`. Its models are the embedded ones, or those of the stack that `ANTIPHON_STACK` names.
Pipecat Cloud finds the same entry in the repository's `bot.py`, and gives it a Daily room.
"""

from __future__ import annotations

import os

from pipecat.runner.types import RunnerArguments
from pipecat.runner.utils import create_transport
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.daily.transport import DailyParams, DailyTransport
from pipecat.workers.runner import WorkerRunner

from pipelines import personas
from pipelines.advanced_cascade import ADVANCED_CASCADE
from pipelines.app import evals
from pipelines.app.daily import stay
from pipelines.app.web_calls import converse
from pipelines.assemble import assemble, check
from pipelines.stacks.catalogue import choose

TRANSPORTS = {
    "webrtc": lambda: TransportParams(audio_in_enabled=True, audio_out_enabled=True),
    # One mixed track: with a track for each participant their chunks would alternate in one stream.
    "daily": lambda: DailyParams(audio_in_enabled=True, audio_out_enabled=True, audio_in_user_tracks=False),
    "eval": evals.params,
}


async def bot(runner_args: RunnerArguments) -> None:
    """Hold one conversation for Pipecat's runner.

    Args:
        runner_args: Of a WebRTC connection, a Daily room, or a WebSocket that an eval harness is behind.

    Raises:
        ValueError: If it is another transport.
        WeightsError, StackError: If there is no stack of that name, a key of its is missing, or it cannot be loaded.
        DailyError: As `pipelines.app.daily.stay`.
    """
    stack = choose(os.environ.get("ANTIPHON_STACK") or "embedded")
    check(ADVANCED_CASCADE, stack)
    await stack.load(ADVANCED_CASCADE)
    transport = await create_transport(runner_args, TRANSPORTS)
    persona = personas.load("ferni")
    worker = assemble(ADVANCED_CASCADE, stack, transport, persona=persona, others=personas.others(persona))
    if isinstance(transport, DailyTransport):
        await stay(transport, worker, persona.greeting)
    else:
        runner = WorkerRunner(handle_sigint=runner_args.handle_sigint)
        await converse(runner, transport, worker, persona.greeting)


if __name__ == "__main__":
    from pipecat.runner.run import main

    main()
