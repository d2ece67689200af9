"""A client by pygls over `nanoscope stdio`: captures, lists, is told of the others' captures; prints what it saw."""

import asyncio
import json
import os
import sys
from pathlib import Path

from lsprotocol.types import ClientCapabilities, InitializedParams, InitializeParams
from pygls.lsp.client import LanguageClient

NAME, CLIENTS, READY, GO = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])


async def main() -> None:
    """Talk to the daemon."""
    client, told, all_told = LanguageClient(NAME, "1"), set(), asyncio.Event()

    @client.feature("traces_changed")
    def _(params) -> None:
        told.update(params.added)
        if len(told) >= CLIENTS:
            all_told.set()

    await client.start_io(sys.executable, "-m", "daemon", "stdio", env=dict(os.environ))
    await client.initialize_async(InitializeParams(capabilities=ClientCapabilities(), process_id=os.getpid()))
    client.initialized(InitializedParams())
    READY.touch()
    while not GO.exists():
        await asyncio.sleep(0.02)
    ask = client.protocol.send_request_async
    captured = await ask("generate_and_capture", {"prompt": f"By {NAME}", "max_tokens": 3})
    listed = await ask("list_traces", {"text": f"By {NAME}"})
    await asyncio.wait_for(all_told.wait(), 30)
    await client.shutdown_async(None)
    client.exit(None)
    await client.stop()
    ids = [row.trace_id for row in listed.traces]
    sys.stdout.write(json.dumps({"captured": captured.trace_id, "listed": ids, "told": sorted(told)}))


asyncio.run(main())
