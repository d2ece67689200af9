"""Hostile values for every parameter of every method, made from the protocol's types, while another client is served.

python -m tests.stress.hostile             all of them, as a table
python -m tests.stress.hostile --share 20  every twentieth
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from tests.stress.ground import Ground, Report, ground
from tests.stress.hostile_cases import KINDS, MB, Case, cases
from tests.stress.hostile_looker import Looker
from tests.stress.wire_client import FRAMINGS, WireClient, frame

ANSWER_SECONDS = 120.0
LOG_LIMIT = 2 * MB  # characters
STATUS_LIMIT = 20_000
ERROR_LIMIT = 2_100


@dataclass
class Tally:
    """What became of the cases of a kind."""

    cases: int = 0
    refused: int = 0
    answered: int = 0
    slowest: float = 0.0  # seconds
    slowest_case: str = ""

    def add(self, name: str, answer: dict[str, Any] | None, seconds: float) -> None:
        """One more."""
        self.cases += 1
        if answer is not None:
            self.refused += "error" in answer
            self.answered += "result" in answer
        if seconds > self.slowest:
            self.slowest, self.slowest_case = seconds, name


def hostile(options: argparse.Namespace) -> Report:
    """Hostile values: each is answered under its id, none is a fault of the daemon's own, and others are served."""
    report, tallies = Report(), {kind: Tally() for kind in (*KINDS, "limit")}
    with ground() as here:
        with here.client() as client:
            client.call("generate_and_capture", {"prompt": "before", "max_tokens": 1})
            pid = client.call("get_status")["pid"]
        looker = Looker.start(here)
        looker.idle()
        for framing in FRAMINGS:
            _all_of(here, framing, options.share, tallies, report, looker)
        looker.idle()
        report.expect(looker.end(), "a well-behaved client was not served to the end")
        _look_at_remains(here, pid, report)
    longest = max((look.size for look in looker.looks), default=0)
    report.expect(longest < STATUS_LIMIT, f"a status of {longest:,} characters")
    served = looker.figures()
    limit = options.served
    report.expect(served["p99_ms"] < limit, f"get_status took {served['p99_ms']} ms at the 99th percentile")
    report.figures = {
        kind: vars(tally) | {"slowest": round(1000 * tally.slowest)} for kind, tally in tallies.items()
    } | {"get_status": served}
    return report


def _all_of(here: Ground, framing: str, share: int, tallies: dict[str, Tally], report: Report, looker: Looker) -> None:
    client = here.client(framing, "hostile")
    for number, case in enumerate(cases(framing)):
        if (number + len(case.name)) % share or len(report.failures) > 20:
            continue
        begun = time.monotonic()
        looker.begin(f"{framing}, {case.name}")
        try:
            answer = _exchange(client, framing, case, report)
        except (OSError, ValueError) as error:
            report.failures.append(f"{framing}, {case.name}: {error!r}")
            client.close()
            client, answer = here.client(framing, "hostile"), None
        tallies[case.kind].add(f"{framing}, {case.name}", answer, time.monotonic() - begun)
    client.close()


def _exchange(client: WireClient, framing: str, case: Case, report: Report) -> dict[str, Any] | None:
    """Say it, and something harmless after it: what each is answered."""
    body = case.body().replace(b'"id": 1', b'"id": "asked"')
    after = {"jsonrpc": "2.0", "id": "after", "method": "get_status"}
    sending = threading.Thread(target=_send, args=(client, frame(framing, body) + frame(framing, after)), daemon=True)
    sending.start()
    answers: dict[object, dict[str, Any]] = {}
    strict = case.answered_as() is not None
    while "after" not in answers or (strict and "asked" not in answers):
        answer = client.response(ANSWER_SECONDS)
        name = answer.get("error", {}).get("data", {}).get("name")
        report.expect(name != "INTERNAL_ERROR", f"{framing}, {case.name}: {str(answer)[:300]}")
        said = answer.get("error", {}).get("message", "")
        report.expect(len(said) < ERROR_LIMIT, f"{framing}, {case.name}: an error of {len(said):,} characters")
        if strict and answer["id"] not in ("asked", "after"):
            raise ValueError(f"answered under another id: {str(answer)[:300]}")
        answers["asked" if answer["id"] != "after" else "after"] = answer
    client.notifications.clear()
    sending.join(ANSWER_SECONDS)
    return answers.get("asked")


def _send(client: WireClient, data: bytes) -> None:
    with contextlib.suppress(OSError):  # who reads finds out
        client.write(data)


def _look_at_remains(here: Ground, pid: int, report: Report) -> None:
    report.expect([process.pid for process in here.daemons()] == [pid], "the daemon is another")
    log = (here.folder / "daemon.log").read_text(errors="replace")
    report.expect("Traceback" not in log, f"the log has a traceback: {log[log.find('Traceback') :][:2000]}")
    report.expect(len(log) < LOG_LIMIT, f"the log has {len(log):,} characters")


def main() -> int:
    """Run it, and print the table; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=int, default=1, help="one case of so many (1)")
    parser.add_argument("--served", type=float, default=100.0, help="milliseconds of get_status, 99th percentile (100)")
    report = hostile(parser.parse_args())
    served = report.figures.pop("get_status")
    print(f"{'kind':8} {'cases':>7} {'refused':>8} {'answered':>9} {'slowest ms':>11}  which")
    for kind, row in report.figures.items():
        counts = f"{row['cases']:7} {row['refused']:8} {row['answered']:9} {row['slowest']:11}"
        print(f"{kind:8} {counts}  {row['slowest_case']}")
    print(f"meanwhile get_status: asked {served['asked']} times, p50 {served['p50_ms']} ms, p99 {served['p99_ms']} ms")
    for milliseconds, case in served["longest"]:
        print(f"  {milliseconds} ms at: {case or 'nobody sent anything'}")
    print(f"  while nobody sent anything: p50 {served['idle_p50_ms']} ms, p99 {served['idle_p99_ms']} ms")
    print(f"FAILED: {'; '.join(report.failures[:10])}" if report.failures else "ok")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
