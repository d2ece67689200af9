"""A watched folder is looked at in time, whatever becomes of it."""

import os
import shutil
import threading

import pytest

from daemon.folders import watch as watching
from daemon.folders.inotify_events import InotifyEvents
from daemon.folders.watch import Watch
from daemon.folders.watch_threads import WatchThreads
from tests.daemon.waiting import Notes, until


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "traces").mkdir()
    return tmp_path / "traces"


@pytest.fixture
def start(folder):
    """Starts a watch; its notes are the names and sizes that each rescan saw."""
    events, threads, watches = InotifyEvents(), WatchThreads(), []

    def start(rescan=None, **options):
        notes = Notes()

        def look():
            names = os.listdir(folder) if folder.exists() else []
            notes.add({name: (folder / name).stat().st_size for name in names})
            return rescan() if rescan else None

        watch = Watch(folder, look, events, threads, **options)
        watches.append(watch)
        watch.start()
        return watch, notes

    yield start
    for watch in watches:
        watch.close()
        watch.join(10)
        assert not watch.running()
    assert not events._folders  # each has taken its own back
    events.close()


def sees(name, size=None):
    return lambda notes: bool(notes) and name in notes[-1] and size in (None, notes[-1][name])


def test_it_begins_with_a_rescan_and_follows_every_change(start, folder, monkeypatch):
    monkeypatch.setattr(watching, "LOOK_SECONDS", 100.0)  # a look at the folder itself would make up for either
    (folder / "a.json").write_text("1")
    watch, notes = start()
    notes.wait(sees("a.json", 1))
    until(lambda: watch.health.method == "events" and watch._events.alive(folder), "the watch is there")
    (folder / "a.json").write_text("12")  # in place: the folder itself does not change
    notes.wait(sees("a.json", 2))
    os.unlink(folder / "a.json")
    notes.wait(lambda notes: notes[-1] == {})


def test_many_events_give_one_rescan_and_no_event_waits_long(start, folder, monkeypatch):
    now = [100.0]
    watch = Watch(folder, lambda: None, InotifyEvents(), WatchThreads())
    watch._next_rescan = 1000.0
    monkeypatch.setattr("daemon.folders.watch.time.monotonic", lambda: now[0])
    assert watch._due() == 1000.0
    watch.hint()
    assert watch._due() == 100.0 + 0.25
    for _ in range(10):
        now[0] += 0.1
        watch.hint()
    assert watch._due() == pytest.approx(100.0 + 0.7)
    watch._cost = 1.0  # a folder that takes long to look at is not looked at all the time
    assert watch._due() == pytest.approx(101.0 + 0.25)


def test_an_event_during_a_rescan_brings_another(start, folder):
    looking, go_on = threading.Event(), threading.Event()

    def rescan():
        looking.set()
        assert go_on.wait(10)

    watch, notes = start(rescan)
    assert looking.wait(10)
    watch.hint()
    go_on.set()
    notes.wait(lambda notes: len(notes) == 2)


def test_a_folder_that_comes_later_is_watched_from_then_on(start, folder):
    folder.rmdir()
    watch, notes = start()
    notes.wait(lambda notes: notes == [{}])
    assert "first trace makes it" in watch.health.note
    folder.mkdir()
    (folder / "a.json").write_text("1")
    notes.wait(sees("a.json", 1))
    until(lambda: watch._events.alive(folder), "the watch is there")
    assert watch.health.note == ""
    (folder / "a.json").write_text("12")
    notes.wait(sees("a.json", 2))


def deleted_and_made_again(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def replaced(folder):
    folder.rename(folder.parent / "before")
    folder.mkdir()


def pointed_elsewhere(folder):
    (folder.parent / "elsewhere").mkdir()
    folder.rename(folder.parent / "before")
    folder.symlink_to(folder.parent / "elsewhere")


@pytest.mark.parametrize("change", [deleted_and_made_again, replaced, pointed_elsewhere])
def test_another_folder_of_the_same_name_is_watched_instead(start, folder, change):
    watch, notes = start()
    (folder / "a.json").write_text("1")
    notes.wait(sees("a.json", 1))
    change(folder)
    notes.wait(lambda notes: notes[-1] == {})
    until(lambda: watch._events.alive(folder) and not watch._renew, "the watch is there")
    (folder / "b.json").write_text("1")
    notes.wait(sees("b.json", 1))
    (folder / "b.json").write_text("12")
    notes.wait(sees("b.json", 2))


def test_a_folder_that_was_moved_away_is_missed_soon(start, folder):
    (folder / "a.json").write_text("1")
    _, notes = start()
    notes.wait(sees("a.json"))
    folder.rename(folder.parent / "before")
    notes.wait(lambda notes: notes[-1] == {})


def test_a_watch_whose_thread_has_died_is_made_anew(start, folder):
    (folder / "a.json").write_text("1")
    watch, notes = start()
    until(lambda: watch._events.alive(folder), "the watch is there")
    thread = watch._events._reader
    thread.stop()
    thread.join(10)
    until(lambda: watch._events.alive(folder), "the watch is there again")
    (folder / "a.json").write_text("12")
    notes.wait(sees("a.json", 2))


def test_names_that_changed_without_an_event_are_found_soon(start, folder, monkeypatch):
    watch, notes = start()
    notes.wait(lambda notes: len(notes) >= 1)
    monkeypatch.setattr(watch._events, "alive", lambda path: True)
    watch._events.remove(watch)
    (folder / "a.json").write_text("1")
    notes.wait(sees("a.json"))


def test_changes_without_any_sign_are_found_by_the_regular_rescan(start, folder, monkeypatch):
    monkeypatch.setattr(watching, "RESCAN_SECONDS", 0.3)
    (folder / "a.json").write_text("1")
    watch, notes = start()
    notes.wait(sees("a.json", 1))  # else the first rescan finds what follows, and the watch is there again
    monkeypatch.setattr(watch._events, "alive", lambda path: True)
    watch._events.remove(watch)
    (folder / "a.json").write_text("12")
    notes.wait(sees("a.json", 2))


def test_it_looks_again_when_the_rescan_asks_for_it(start):
    wanted = [0.05, 0.05]
    _, notes = start(lambda: wanted.pop() if wanted else None)
    notes.wait(lambda notes: len(notes) == 3)


def test_a_rescan_that_fails_does_not_end_the_watch(start, folder, caplog):
    faults = [RuntimeError("a fault")]

    def rescan():
        if faults:
            raise faults.pop()

    _, notes = start(rescan)
    notes.wait(lambda notes: len(notes) == 1)
    (folder / "a.json").write_text("1")
    notes.wait(sees("a.json"))
    assert "could not be looked at" in caplog.text


def test_polling_needs_no_events(start, folder, monkeypatch):
    monkeypatch.setattr(watching, "POLL_SECONDS", 0.05)
    (folder / "a.json").write_text("1")
    watch, notes = start(polling=True)
    notes.wait(sees("a.json", 1))
    assert (watch.health.method, watch.health.healthy) == ("polling", True)
    assert not watch._events._folders
    (folder / "a.json").write_text("12")
    notes.wait(sees("a.json", 2))


def test_network_file_systems_are_polled(start, folder, monkeypatch):
    monkeypatch.setattr(watching, "file_system_of", lambda path: "nfs4")
    watch, notes = start()
    notes.wait(lambda notes: len(notes) >= 2)
    assert watch.health.method == "polling"
    assert "nfs4" in watch.health.note


def test_where_no_watch_can_be_had_it_polls_and_tries_again(start, folder, monkeypatch):
    problems = ["the limit is reached"]
    original = InotifyEvents.add

    def add(self, *arguments):
        return problems.pop() if problems else original(self, *arguments)

    monkeypatch.setattr(InotifyEvents, "add", add)
    monkeypatch.setattr(watching, "RESCAN_SECONDS", 0.8)
    watch, notes = start()
    until(lambda: watch.health.method == "polling", "it polls")
    assert watch.health.note == "the limit is reached"
    (folder / "a.json").write_text("1")
    notes.wait(sees("a.json"))
    until(lambda: watch.health == watching.WatchHealth(), "it tried again")
