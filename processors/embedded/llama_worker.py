"""The process that runs llama.cpp's server. Started by `processors.embedded.llama`, ends when its standard input does.

It prints one line of JSON when it is ready. On its command line: the model, a port (0 for any), threads, context
tokens, slots, and the folder for prompts that were read once; in its environment: `ANTIPHON_LLAMA_KEY`.
"""

from __future__ import annotations

import json
import os
import sys


def main() -> int:
    """Serve until the parent closes the pipe."""
    # OpenMP's threads spin long at every barrier by default: with anything else on the same cores, tokens came six
    # times slower. Not to spin at all costs a tenth when nothing else runs. The library reads this when it is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    import xllamacpp

    model, port, threads, tokens, slots = sys.argv[1], *map(int, sys.argv[2:6])
    params = xllamacpp.CommonParams()
    params.model.path = model
    # Mapped pages made first tokens take seconds at times.
    params.use_mmap = False
    params.n_ctx = tokens
    params.n_parallel = slots
    params.kv_unified = True
    params.cache_ram_mib = 0
    params.fit_params = False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.hostname = "127.0.0.1"
    params.port = port
    params.n_threads_http = 2 + slots
    params.endpoint_slots = False
    params.slot_save_path = f"{sys.argv[6]}/"  # llama.cpp puts names right behind it
    params.verbosity = -1
    params.api_keys = [os.environ.pop("ANTIPHON_LLAMA_KEY")]
    server = xllamacpp.Server(params)
    sys.stdout.write(json.dumps({"url": f"{server.listening_address}/v1"}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
