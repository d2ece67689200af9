"""Whatever is done to traces by whatever program gives a hint; what is not about traces gives none."""

import ctypes
import errno
import logging
import mmap
import os
import shutil
import threading
from pathlib import Path

import pytest
from watchdog.observers import inotify_c
from watchdog.observers.inotify import InotifyObserver

from daemon.folders import file_events
from daemon.folders.file_events import FileEvents, file_system_of, is_network
from daemon.folders.inotify_events import InotifyEvents, open_events
from tests.daemon.waiting import Notes, until


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "traces").mkdir()
    return tmp_path / "traces"


@pytest.fixture(params=[FileEvents, InotifyEvents])
def events(request):
    events = request.param()
    yield events
    events.close()
    assert not [thread for thread in threading.enumerate() if "notify" in type(thread).__name__.lower()]


@pytest.fixture
def hints(events, folder):
    hints = Notes()
    assert events.add("test", folder, hints.add) is None
    return hints


def sentinel(folder: Path) -> None:
    """One hint, which comes after those of all that was done before: a hidden file gets a name."""
    (folder / ".hidden").touch()
    os.rename(folder / ".hidden", folder / "sentinel.json")


def map_and_change(path: Path) -> None:
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[0:1] = b"["


DEEDS = {
    "written": lambda folder, other: (folder / "a.json").write_text("{}"),
    "compact": lambda folder, other: (folder / "a.safetensors").write_text("{}"),
    "copied": lambda folder, other: shutil.copy2(other, folder / "a.json"),
    "moved in": lambda folder, other: os.rename(other, folder / "a.json"),
    "linked": lambda folder, other: os.link(other, folder / "a.json"),
    "symlinked": lambda folder, other: os.symlink(other, folder / "a.json"),
    "renamed": lambda folder, other: os.rename(folder / "old.json", folder / "new.json"),
    "made visible": lambda folder, other: os.rename(folder / "note.txt", folder / "new.json"),
    "hidden": lambda folder, other: os.rename(folder / "old.json", folder / "old.bak"),
    "replaced": lambda folder, other: os.replace(other, folder / "old.json"),
    "edited in place": lambda folder, other: (folder / "old.json").write_text("[]"),
    "appended to": lambda folder, other: (folder / "old.json").open("a").close(),
    "cut": lambda folder, other: os.truncate(folder / "old.json", 1),
    "mapped": lambda folder, other: map_and_change(folder / "old.json"),
    "touched": lambda folder, other: os.utime(folder / "old.json"),
    "given rights": lambda folder, other: os.chmod(folder / "old.json", 0o600),
    "removed": lambda folder, other: os.unlink(folder / "old.json"),
    "moved out": lambda folder, other: os.rename(folder / "old.json", other),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_what_is_done_to_traces_gives_a_hint(events, folder, deed):
    other, hints = folder.parent / "other", Notes()
    for path in (other, folder / "old.json", folder / "note.txt"):
        path.write_text("{}")
    events.add("test", folder, hints.add)
    DEEDS[deed](folder, other)
    assert not any(hints.wait(lambda notes: len(notes) >= 1))


def test_what_is_not_about_traces_gives_none(hints, folder):
    (folder / "old.json").write_text("{}")
    hints.wait(lambda notes: len(notes) >= 3)  # created, modified, closed
    sentinel(folder)
    before = len(hints.wait(lambda notes: len(notes) >= 4))
    for name in (".trace.json.tmp", ".json", "note.txt", "old.json~", "x.json.part"):
        (folder / name).write_text("x")
        os.unlink(folder / name)
    (folder / "below").mkdir()
    (folder / "below" / "a.json").write_text("{}")
    assert (folder / "old.json").read_text() == "{}"  # reading must not come back as a hint
    assert "old.json" in os.listdir(folder)
    sentinel(folder)
    assert len(hints.wait(lambda notes: len(notes) > before)) == before + 1


def test_the_folder_itself_is_told_apart(hints, folder):
    shutil.rmtree(folder)
    hints.wait(lambda notes: True in notes)


def test_a_file_that_leaves_is_told_of_at_once(events, hints, folder):
    (folder / "a.json").touch()
    sentinel(folder)
    hints.wait(lambda notes: len(notes) >= 3)
    (came,) = [hints.wait_for_more(lambda: os.rename(folder / "a.json", folder.parent / "b"))]
    assert came == [False]
    if isinstance(events, FileEvents):
        from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper

        assert InotifyMoveEventGrouper.delay == 0.0  # by default watchdog holds it, and what follows, for half a second


def test_a_hint_that_fails_does_not_end_the_others(events, folder, caplog):
    hints = Notes()

    def fail_first(lost: bool) -> None:
        hints.add(lost)
        if len(hints.all) == 1:
            raise RuntimeError("a fault")

    events.add("test", folder, fail_first)
    (folder / "a.json").write_text("{}")
    hints.wait(lambda notes: len(notes) >= 3)
    assert events.alive(folder)
    assert "a file event was lost" in caplog.text


def test_lost_events_are_told(events, folder, caplog):
    for name in ("a.json", "b.json"):
        (folder / name).touch()
    hints = Notes()
    events.add("test", folder, hints.add)
    if isinstance(events, FileEvents):
        assert isinstance(events._observer, InotifyObserver)
        reader = events._observer._inotify_fd
    else:
        reader = events._reader
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    with caplog.at_level(logging.ERROR, "watchdog"), reader._lock:  # the reader has to wait
        for number in range(limit // 2 + 3000):  # it may have taken a first 2,560 by then
            os.utime(folder / "a.json", (number, number))
            os.utime(folder / "b.json", (number, number))
    hints.wait(lambda notes: True in notes)


def test_other_warnings_of_watchdog_are_no_lost_events(hints, folder):
    logging.getLogger("watchdog.observers.inotify").warning("something else")
    sentinel(folder)
    assert hints.wait(lambda notes: len(notes) >= 1) == [False]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE])
def test_a_limit_is_said_with_its_remedy(events, folder, monkeypatch, number):
    def refuse(*_):
        ctypes.set_errno(number)
        return -1

    with monkeypatch.context() as patch:
        patch.setattr(inotify_c, "inotify_add_watch" if number == errno.ENOSPC else "inotify_init", refuse)
        problem = events.add("test", folder, lambda lost: None)
    assert "sysctl" in problem and file_events.LIMITS[number] in problem
    assert not events.alive(folder)
    assert events.add("test", folder, lambda lost: None) is None
    assert events.alive(folder)


def test_a_missing_folder_is_an_error_of_its_own(events, folder):
    with pytest.raises(FileNotFoundError):
        events.add("test", folder / "missing", lambda lost: None)
    assert events.add("test", folder, lambda lost: None) is None


def test_two_owners_of_a_folder_do_not_end_each_others_watch(events, folder):
    first, second = Notes(), Notes()
    events.add("first", folder, first.add)
    events.add("second", folder, second.add)
    sentinel(folder)
    first.wait(lambda notes: len(notes) >= 1)
    second.wait(lambda notes: len(notes) >= 1)
    events.remove("first")
    events.remove("first")
    heard = len(first.all)
    second.wait_for_more(lambda: sentinel(folder))
    assert len(first.all) == heard
    events.remove("second")
    assert not events.alive(folder)
    assert not (events._hints if isinstance(events, FileEvents) else events._folders)


def test_the_watch_follows_a_folder_that_has_its_name_now(events, folder):
    first, second = Notes(), Notes()
    events.add("first", folder, first.add)
    folder.rename(folder.parent / "old")
    folder.mkdir()
    events.add("second", folder, second.add)
    sentinel(folder)
    second.wait(lambda notes: len(notes) >= 1)
    first.wait(lambda notes: len(notes) >= 1)


def test_a_dead_thread_shows(events, folder, hints):
    assert events.alive(folder)
    if isinstance(events, FileEvents):
        (thread,) = events._observer.emitters  # pyright: ignore[reportOptionalMemberAccess]
    else:
        thread = events._reader
    thread.stop()
    until(lambda: not events.alive(folder), "the thread stopped")


def test_on_linux_one_thread_reads_for_all_folders(tmp_path):
    events, before = open_events(), threading.active_count()
    assert isinstance(events, InotifyEvents)
    try:
        for number in range(20):
            (tmp_path / str(number)).mkdir()
            assert events.add(number, tmp_path / str(number), lambda lost: None) is None
        assert threading.active_count() == before + 1
    finally:
        events.close()
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("kind", "network"),
    [("nfs4", True), ("NFS", True), ("cifs", True), ("smb3", True), ("fuse.sshfs", True), ("9p", True),
     ("virtiofs", True), ("ext4", False), ("btrfs", False), ("tmpfs", False), ("apfs", False), ("fuseblk", False),
     ("overlay", False), ("", False)],
)  # fmt: skip
def test_network_file_systems_are_known_by_their_names(kind, network):
    assert is_network(kind) is network


def test_the_file_system_is_that_of_the_nearest_mount(tmp_path, monkeypatch):
    disks = [("/", "ext4"), (str(tmp_path), "nfs4"), (str(tmp_path / "a"), "tmpfs")]
    partitions = [type("Disk", (), {"mountpoint": place, "fstype": kind}) for place, kind in disks]
    monkeypatch.setattr(file_events.psutil, "disk_partitions", lambda all: partitions)
    assert file_system_of(tmp_path / "missing" / "traces") == "nfs4"
    assert file_system_of(tmp_path / "a" / "traces") == "tmpfs"
    assert file_system_of(Path("/nowhere")) == "ext4"
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert file_system_of(tmp_path / "link" / "x") == "tmpfs"
