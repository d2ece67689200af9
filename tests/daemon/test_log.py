"""The log: rotated, private, quiet about what clients say, and never the reason that a daemon fails."""

import os
import stat
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROTATES = """
import logging, os, sys
from pathlib import Path
from daemon import log
log.LARGEST_BYTES = 1000
log.log_to_file(Path(sys.argv[1]), takes_outputs=True)
for number in range(60):
    logging.getLogger("nanoscope.test").info("line %d", number)
print("printed", flush=True)
os.system("echo by a child >&2")
"""
LEVELS = """
import logging, sys, warnings
from pathlib import Path
from daemon import log
log.log_to_file(Path(sys.argv[1]), takes_outputs=False)
for name in ("nanoscope.a", "daemon.b", "pygls.protocol", "jsonrpcserver", "asyncio", "other"):
    logging.getLogger(name).info("information from %s", name)
    logging.getLogger(name).warning("warning from %s", name)
warnings.warn("a library's warning")
"""
CRASHES = """
import ctypes, sys
from pathlib import Path
from daemon import log
log.log_to_file(Path(sys.argv[1]), takes_outputs=True)
ctypes.string_at(0)
"""


def run(program: str, log_file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, str(log_file)], cwd=ROOT, capture_output=True, text=True, timeout=20
    )


def test_it_is_rotated_and_the_processs_outputs_go_along(tmp_path):
    log_file = tmp_path / "logs" / "daemon.log"
    done = run(ROTATES, log_file)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(os.listdir(log_file.parent)) == ["daemon.log", "daemon.log.1", "daemon.log.2"]
    assert log_file.read_text().endswith("line 59\nprinted\nby a child\n")
    for path in log_file.parent.iterdir():
        assert path.stat().st_size <= 1100
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_only_our_own_information_is_kept(tmp_path):
    done = run(LEVELS, tmp_path / "daemon.log")
    text = (tmp_path / "daemon.log").read_text()
    informed = [line.split()[-1] for line in text.splitlines() if "information from" in line]
    assert informed == ["nanoscope.a", "daemon.b"]
    assert text.count("warning from") == 6
    assert "a library's warning" in text
    assert "information from nanoscope.a" in done.stderr  # somebody watches: it was started by hand


def test_a_crash_leaves_its_stack_in_the_log(tmp_path):
    assert run(CRASHES, tmp_path / "daemon.log").returncode != 0
    assert "Segmentation fault" in (tmp_path / "daemon.log").read_text()


def test_where_no_file_can_be_written_it_goes_to_stderr(tmp_path):
    (tmp_path / "file").touch()
    done = run(LEVELS, tmp_path / "file" / "daemon.log")
    assert done.returncode == 0
    assert "the log file cannot be written" in done.stderr
    assert "information from nanoscope.a" in done.stderr
