"""A client process that captures until it is killed, and prints each answered trace's id: `... line json 7`."""

import os
import sys

from daemon.launch.connect import connect_or_start
from daemon.settings import load_settings
from protocol.errors import RpcError
from tests.stress.remains import PASSING, capture
from tests.stress.wire_client import WireClient


def main() -> int:
    """Capture for ever; 1 where an answer is an error that should not be."""
    framing, format, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
    settings, _ = load_settings()
    while True:
        try:
            with WireClient(connect_or_start(settings, "actor"), framing) as client:
                client.introduce("actor")
                while True:
                    trace_id = capture(client, format, seed)["trace_id"]
                    os.write(1, trace_id.encode() + b"\n")  # whole or not at all
                    seed += 1
        except OSError:
            continue
        except RpcError as error:
            if error.name not in PASSING:
                os.write(1, f"!{error.name}: {error}\n".encode())
                return 1


if __name__ == "__main__":
    sys.exit(main())
