"""Kills processes that save traces, and feeds the storage garbage; says whether anything was lost or broke.

python -m tests.stress.storage --kills 200 --garbage 10000
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from tests.stress.garbage import read_garbage, write_garbage
from tests.stress.writer_kills import kill_writers


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="writers to kill, half of them in each format")
    parser.add_argument("--garbage", type=int, default=10_000, help="garbage files to read")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        catalogue = folder / "catalogue.sqlite3"
        for format in ("json", "safetensors"):
            report = kill_writers(folder / format, catalogue, arguments.kills // 2, format, arguments.seed)
            print(format, json.dumps(asdict(report)))
            failed |= report.failed()
        started = time.monotonic()
        write_garbage(folder / "garbage", arguments.garbage, arguments.seed)
        garbage = read_garbage(folder / "garbage", catalogue)
        print("garbage", json.dumps(asdict(garbage)), f"{time.monotonic() - started:.1f} s")
        failed |= garbage.failed() or garbage.files != arguments.garbage
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
