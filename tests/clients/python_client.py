"""The project's own client: captures, lists, is told of the others' captures; prints what it saw."""

import json
import sys
import time
from pathlib import Path

from daemon.client.sync import Client

NAME, CLIENTS, READY, GO = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])

with Client() as client, client.notifications("traces_changed") as notifications:
    READY.touch()
    while not GO.exists():
        time.sleep(0.02)
    captured = client.generate_and_capture(f"By {NAME}", max_tokens=3)
    listed = client.list_traces(text=f"By {NAME}")
    told: set[str] = set()
    while len(told) < CLIENTS:
        told.update(next(notifications).params.added)
ids = [row.trace_id for row in listed.traces]
sys.stdout.write(json.dumps({"captured": captured.trace_id, "listed": ids, "told": sorted(told)}))
