"""llama.cpp's server in this process: an OpenAI-compatible endpoint on a free loopback port."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

CONTEXT_TOKENS = 6144
SLOTS = 2
"""Conversations whose prompts stay cached side by side."""


class LlamaServer:
    """Serves one model to this process.

    Args:
        model: A GGUF file. It is read into memory: mapped pages made first tokens take seconds at times.
        threads: For prompts and tokens; two suit two cores.
    """

    def __init__(self, model: Path, *, threads: int = 2) -> None:
        # OpenMP's threads spin at every barrier by default: with anything else on the same cores, tokens came six times
        # slower. The library reads this when it is loaded.
        os.environ.setdefault("GOMP_SPINCOUNT", "0")
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(model)
        params.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE
        params.n_ctx = CONTEXT_TOKENS
        params.n_parallel = SLOTS
        params.kv_unified = True
        params.cache_ram_mib = 0
        params.cpuparams.n_threads = threads
        params.cpuparams_batch.n_threads = threads
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        params.ui = False
        params.endpoint_slots = False
        params.verbosity = -1
        self.api_key = secrets.token_urlsafe(24)
        params.api_keys = [self.api_key]
        self._server: Any = xllamacpp.Server(params)

    @property
    def url(self) -> str:
        """The base URL for an OpenAI client."""
        return f"{self._server.listening_address}/v1"
