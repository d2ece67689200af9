"""`nanoscope doctor` on set-ups that are broken in one way each: it names the fault and the remedy."""

import json
import os
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from daemon.doctor.finding import Finding
from daemon.doctor.report import CHECKS, examine
from daemon.settings import Settings
from daemon.version import PACKAGE_VERSION
from nanochat.checkpoints.layouts import DEMO_FOLDER
from nanochat.traces.catalogue import default_path
from tests.checkpoints import write_flat
from tests.daemon.commands import in_terminal, run
from tests.daemon.running import DaemonProcess, environment_set_to, private_settings
from tests.daemon.scripted_daemon import line


@pytest.fixture
def settings() -> Iterator[Settings]:
    """A set-up where all is well, and no daemon runs."""
    with private_settings() as (settings, environment), environment_set_to(environment):
        settings.runtime_dir.mkdir(mode=0o700)
        yield settings


def faults(**more: object) -> dict[str, Finding]:
    """What is not well, by check."""
    return {finding.check: finding for finding in examine(**more) if finding.state != "ok"}  # type: ignore[arg-type]


def test_all_is_well(settings: Settings) -> None:
    assert faults() == {}
    checks = {finding.check for finding in examine()}
    assert checks == {"settings", "packages", *CHECKS}
    done = run("doctor")
    assert done.status == 0
    assert {row[0] for row in done.rows} == {"ok"}
    assert all(len(row) == 4 for row in done.rows)
    assert in_terminal("doctor").out.endswith("All is well.\n")


def test_nothing_is_made_by_looking(tmp_path: Path) -> None:
    with private_settings() as (settings, environment), environment_set_to(environment):
        before = sorted(settings.runtime_dir.parent.rglob("*"))
        assert faults() == {}
        assert sorted(settings.runtime_dir.parent.rglob("*")) == before


def test_a_running_daemon_is_well(daemon_process: DaemonProcess) -> None:
    daemon_process.call("generate_and_capture", {"prompt": "Hello", "max_tokens": 1})
    findings = {finding.check: finding for finding in examine()}
    assert {finding.state for finding in findings.values()} == {"ok"}
    assert str(daemon_process.pid) in findings["daemon"].found
    assert "1 that can be read" in findings["traces"].found


def test_a_traces_folder_that_is_a_file(settings: Settings) -> None:
    settings.traces_dir.write_text("not a folder")
    fault = faults()["traces"]
    assert (fault.state, fault.found) == ("fault", f"{settings.traces_dir} is not a folder.")
    assert "Move it away, or set traces_dir" in fault.remedy
    done = run("doctor")
    assert done.status == 1
    assert ["fault", "traces", fault.found, fault.remedy] in done.rows


@pytest.mark.parametrize(
    ("setting", "check", "name"),
    [("traces_dir", "traces", "a/b"), ("runtime_dir", "run folder", "a"), ("log_file", "log", "l")],
)
def test_a_place_below_a_file_cannot_be_made(
    settings: Settings, tmp_path: Path, setting: str, check: str, name: str
) -> None:
    (tmp_path / "file").write_text("not a folder")
    found = faults(flags={setting: str(tmp_path / "file" / name)})[check]
    assert found.found == f"{tmp_path / 'file' / name} cannot be made: {tmp_path / 'file'} is not a folder."


def test_a_folder_below_a_link_to_nothing_cannot_be_made(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    found = faults(flags={"traces_dir": str(tmp_path / "link" / "traces")})["traces"].found
    assert found.endswith(f"cannot be made: {tmp_path / 'link'} is not a folder.")


def test_a_traces_folder_is_looked_at_and_no_more(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.traces_dir.mkdir()
    (settings.traces_dir / ".viminfo.tmp").write_text("mine")
    os.utime(settings.traces_dir / ".viminfo.tmp", (0, 0))
    os.utime(settings.traces_dir, (0, 0))
    assert "traces" not in faults()
    assert os.listdir(settings.traces_dir) == [".viminfo.tmp"]
    assert settings.traces_dir.stat().st_mtime == 0
    monkeypatch.setattr("os.access", lambda path, rights: path != settings.traces_dir)
    fault = faults()["traces"]
    assert (fault.state, fault.found) == ("fault", f"{settings.traces_dir} may not be written to.")
    assert f"chmod u+rwx {settings.traces_dir}" in fault.remedy


def test_traces_that_cannot_be_read(settings: Settings) -> None:
    settings.traces_dir.mkdir()
    for number in range(5):
        (settings.traces_dir / f"trace_{number}.json").write_text("{")
    warning = faults()["traces"]
    assert warning.state == "warning"
    assert "5 cannot be read: trace_" in warning.found
    assert "and 2 more" in warning.found


def test_a_run_folder_that_is_open_to_others(settings: Settings) -> None:
    settings.runtime_dir.chmod(0o755)
    fault = faults()["run folder"]
    assert fault.state == "fault"
    assert fault.found == f"Others can enter {settings.runtime_dir}."
    assert f"chmod 700 {settings.runtime_dir}" in fault.remedy
    settings.runtime_dir.rmdir()
    settings.runtime_dir.symlink_to("/tmp")
    fault = faults()["run folder"]
    assert "is a link" in fault.found
    assert "Set runtime_dir" in fault.remedy


def test_a_run_folder_with_too_long_a_name(settings: Settings) -> None:
    fault = faults(flags={"runtime_dir": f"/tmp/{'long' * 30}"})["run folder"]
    assert (fault.state, "too long a name" in fault.found) == ("fault", True)


def test_a_stale_socket(settings: Settings) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(settings.runtime_dir / "daemon.sock"))
    warning = faults()["daemon"]
    assert warning.state == "warning"
    assert "Nobody listens at" in warning.found
    assert "the next command removes it" in warning.remedy
    assert run("doctor").status == 0


def test_a_daemon_that_does_not_answer(daemon_process: DaemonProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.doctor.installation.ANSWER_SECONDS", 0.2)
    os.kill(daemon_process.pid, signal.SIGSTOP)
    try:
        fault = faults()["daemon"]
        assert (fault.state, "does not answer" in fault.found) == ("fault", True)
        assert "nanoscope stop --force" in fault.remedy
        daemon_process.folder.socket.unlink()
        fault = faults()["daemon"]
        assert fault.found == f"Process {daemon_process.pid} is a daemon that takes no clients."
    finally:
        os.kill(daemon_process.pid, signal.SIGCONT)


@contextmanager
def answering(path: Path, result: dict[str, Any]) -> Iterator[None]:
    """Something that answers one request, whatever it is."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            stream, _ = listener.accept()
            with stream, stream.makefile("rb") as lines:
                stream.sendall(line({"id": json.loads(lines.readline())["id"], "result": result}))

        thread = threading.Thread(target=answer)
        thread.start()
        yield
        thread.join()


def test_a_daemon_of_another_version(settings: Settings) -> None:
    status = {"package_version": "0.0.1", "protocol_version": "0", "pid": 7}
    with answering(settings.runtime_dir / "daemon.sock", status):
        fault = faults()["daemon"]
    assert fault.state == "fault"
    assert f"(pid 7) is nanoscope 0.0.1, protocol 0; this is {PACKAGE_VERSION}" in fault.found
    assert "nanoscope stop --force" in fault.remedy


def test_a_damaged_checkpoint(settings: Settings, tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    shutil.copytree(DEMO_FOLDER, demo)
    assert faults(flags={"source": str(demo)}) == {}
    weights = demo / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    fault = faults(flags={"source": str(demo)})["checkpoint"]
    assert (fault.state, fault.found) == ("fault", f"{weights} is damaged: it is cut short.")
    assert "Copy it again" in fault.remedy
    assert run("doctor", "--source", str(demo)).status == 1


def test_a_damaged_checkpoint_of_nanochats_own(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    weights = write_flat(folder)
    (meta,) = folder.glob("meta_*.json")
    flags = {"source": str(folder), "era": "F"}
    assert faults(flags=flags) == {}
    assert faults(flags=flags, deep=True) == {}
    whole, text = weights.read_bytes(), meta.read_text()
    meta.write_text(text.replace('"n_head"', '"n_heads"'))
    assert "n_head" in faults(flags=flags)["checkpoint"].found
    meta.write_text("{")
    assert "is not JSON" in faults(flags=flags)["checkpoint"].found
    meta.unlink()
    assert faults(flags=flags)["checkpoint"].found == f"{meta} is missing."
    meta.write_text(text)
    weights.write_bytes(whole[: len(whole) // 2])
    assert "is damaged" in faults(flags=flags)["checkpoint"].found
    weights.write_bytes(whole)
    for tokenizer in folder.glob("tokenizer.*"):
        tokenizer.unlink()
    assert "There is no tokenizer" in faults(flags=flags)["checkpoint"].found
    shutil.rmtree(folder)
    fault = faults(flags=flags)["checkpoint"]
    assert "There is no folder" in fault.found
    assert "nanoscope models" in fault.remedy


def test_a_full_disk(settings: Settings) -> None:
    fault = faults(free_bytes=lambda path: 5_000_000)["disk"]
    assert (fault.state, fault.found.startswith("5.0 MB free for the traces")) == ("fault", True)
    assert "nanoscope delete" in fault.remedy
    assert faults(free_bytes=lambda path: 1_000_000_000)["disk"].state == "warning"


def test_a_wrong_config_file(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Path(os.environ["XDG_CONFIG_HOME"]) / "nanoscope" / "config.toml"
    config.parent.mkdir(parents=True)
    for text, said in (("sauce = 'demo'", "There is no setting 'sauce'"), ("source = ", "is not TOML")):
        config.write_text(text)
        fault = faults()["settings"]
        assert fault.state == "fault"
        assert said in fault.found
        assert f"Correct {config}, or move it away" in fault.remedy
    assert run("doctor").status == 1
    monkeypatch.delenv("NANOSCOPE_QUEUE_LIMIT")
    config.write_text("queue_limit = 7")
    assert f"queue_limit ({config})" in next(row.found for row in examine() if row.check == "settings")


def test_a_wrong_variable(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NANOSCOPE_DEVICE", "toaster")
    fault = faults()["settings"]
    assert (fault.state, "NANOSCOPE_DEVICE" in fault.found) == ("fault", True)
    assert "environment variable" in fault.remedy


def test_a_damaged_catalogue(settings: Settings) -> None:
    default_path().parent.mkdir(parents=True, exist_ok=True)
    default_path().write_bytes(b"no database" * 1000)
    warning = faults()["catalogue"]
    assert (warning.state, warning.remedy) == ("warning", "Delete it: it is made anew.")


def test_errors_in_the_log(settings: Settings) -> None:
    settings.log_file.parent.mkdir(parents=True)
    settings.log_file.write_text("2026-01-01 12:00:00,000 ERROR nanoscope.model: no memory\n")
    warning = faults()["log"]
    assert (warning.state, warning.found.endswith("no memory")) == ("warning", True)
    assert "nanoscope logs" in warning.remedy


def test_a_check_that_fails_is_a_finding(settings: Settings) -> None:
    def broken(path: Path) -> int:
        raise ZeroDivisionError("no disk")

    fault = faults(free_bytes=broken)["disk"]
    assert (fault.state, "ZeroDivisionError: no disk" in fault.found) == ("fault", True)
    assert {"watching", "checkpoint"} <= {finding.check for finding in examine(free_bytes=broken)}


def test_json_and_the_terminal(settings: Settings) -> None:
    settings.traces_dir.write_text("not a folder")
    findings = msgspec.json.decode(run("doctor", "--json").out, type=list[Finding])
    assert [finding.check for finding in findings if finding.state == "fault"] == ["traces"]
    shown = in_terminal("doctor", columns=100).out
    assert "✗ traces" in shown
    assert "→ Move it away" in shown
    assert shown.endswith("1 fault.\n")
