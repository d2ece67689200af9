"""A folder on a file system that does not answer, as NFS may do, holds up nobody who uses another."""

import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from daemon.folders.trace_folders import TraceFolders

SECONDS = 8.0


class HungPath:
    """`os.path.realpath`, which does not answer about one path before `go_on` is set."""

    def __init__(self, path):
        self._path, self._original = path, os.path.realpath
        self.asked, self.go_on = threading.Event(), threading.Event()

    def __call__(self, path, **options):
        if os.fspath(path) == os.fspath(self._path):
            self.asked.set()
            assert self.go_on.wait(SECONDS)
        return self._original(path, **options)


@pytest.fixture
def folders(tmp_path):
    with contextlib.closing(TraceFolders(tmp_path / "traces", "json", False, lambda folder, change: None)) as folders:
        yield folders


@pytest.fixture
def pool():
    with ThreadPoolExecutor() as pool:
        yield pool


@pytest.fixture
def hung(tmp_path, monkeypatch):
    hung = HungPath(tmp_path / "hung")
    monkeypatch.setattr(os.path, "realpath", hung)
    yield hung
    hung.go_on.set()


def test_nobody_waits_for_a_folder_that_cannot_be_found(folders, tmp_path, pool, hung):
    other = folders.open(tmp_path / "other")
    opening = pool.submit(folders.open, tmp_path / "hung")
    assert hung.asked.wait(SECONDS)

    def everything_else():
        default, second = folders.default, folders.open(tmp_path / "other")
        assert second is other
        folders.close_one(second)
        folders.close_one(other)
        return default, [info.traces_dir for info in folders.describe()]

    default, watched = pool.submit(everything_else).result(SECONDS / 2)
    assert watched == [str(default.path)]
    assert not opening.done()
    hung.go_on.set()
    assert opening.result(SECONDS).path == tmp_path / "hung"


def test_nobody_waits_for_a_folder_that_hangs_later(folders, tmp_path, pool, hung):
    hung.go_on.set()
    first = folders.open(tmp_path / "hung")
    hung.go_on.clear()
    assert pool.submit(folders.open, tmp_path / "other").result(SECONDS / 2) is not first
    hung.go_on.set()
    assert folders.open(tmp_path / "hung") is first


def test_a_link_that_leads_elsewhere_by_now_is_another_folder(folders, tmp_path):
    for name in ("before", "after"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("before")
    by_link = folders.open(tmp_path / "link")
    assert folders.open(tmp_path / "before") is by_link
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("after")
    assert folders.open(tmp_path / "before").path == tmp_path / "before"
    assert folders.open(tmp_path / "after") is by_link
