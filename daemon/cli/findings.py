"""How the doctor's findings are shown."""

from __future__ import annotations

import sys

from daemon.cli.output import output, print_line
from daemon.doctor.finding import Finding

MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "fault": ("✗", "bold red")}


def print_findings(findings: list[Finding]) -> None:
    """A line for each, remedies below; in a pipe state, check, finding and remedy parted by tabs."""
    if not sys.stdout.isatty():
        for finding in findings:
            print_line("\t".join((finding.state, finding.check, finding.found, finding.remedy)))
        return
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1, 0, 0))
    for finding in findings:
        mark, style = MARKS[finding.state]
        text = Text(finding.found)
        if finding.remedy:
            text.append(f"\n→ {finding.remedy}", "bold")
        table.add_row(Text(mark, style), Text(finding.check, style if finding.state != "ok" else ""), text)
    output().print(Padding(table, 0))
    faults = sum(finding.state == "fault" for finding in findings)
    warnings = sum(finding.state == "warning" for finding in findings)
    output().print()
    output().print(_verdict(faults, warnings), style="bold")


def _verdict(faults: int, warnings: int) -> str:
    counts = [
        f"{count} {name}{'s' * (count != 1)}" for count, name in ((faults, "fault"), (warnings, "warning")) if count
    ]
    return " and ".join(counts) + "." if counts else "All is well."
