"""The daemon's private folder lets nobody else in, and its socket's name fits."""

import json
import os
import stat
from pathlib import Path

import pytest

from daemon import run_folder
from daemon.run_folder import LONGEST_SOCKET_PATH, RunFolder, default_folder, private_folder, read_token, write_token
from nanochat.errors import StorageError
from protocol.errors import RpcError


def refused(path: Path, words: str) -> None:
    with pytest.raises(RpcError, match=words) as caught:
        private_folder(path)
    assert caught.value.name == "RUN_FOLDER_UNSAFE"
    assert str(path) in str(caught.value)
    assert "NANOSCOPE_RUNTIME_DIR" in str(caught.value)


def test_it_is_made_for_this_user_alone(tmp_path):
    before = os.umask(0)
    try:
        folder = private_folder(tmp_path / "a" / "run")
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(folder.path).st_mode) == 0o700
    assert private_folder(folder.path) == folder
    files = {folder.socket, folder.start_lock, folder.lifetime_lock, folder.token}
    assert len(files) == 4
    assert {file.parent for file in files} == {folder.path}


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o707, 0o701])
def test_one_that_others_can_enter_is_refused(tmp_path, mode):
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(mode)
    refused(tmp_path / "run", "chmod 700")
    assert stat.S_IMODE(os.stat(tmp_path / "run").st_mode) == mode


def test_a_link_is_refused_even_to_a_good_folder(tmp_path):
    private_folder(tmp_path / "real")
    (tmp_path / "run").symlink_to(tmp_path / "real")
    refused(tmp_path / "run", "a link")


def test_a_file_in_its_place_is_refused(tmp_path):
    (tmp_path / "run").touch(mode=0o600)
    refused(tmp_path / "run", "not a folder")
    refused(tmp_path / "run" / "below", "cannot be made")


def test_somebody_elses_is_refused(tmp_path, monkeypatch):
    private_folder(tmp_path / "run")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    refused(tmp_path / "run", f"belongs to user {os.getuid()}")


def test_a_name_too_long_for_a_socket_is_refused(tmp_path):
    longest = LONGEST_SOCKET_PATH - len("/daemon.sock")
    fits = tmp_path / ("x" * (longest - len(os.fsencode(tmp_path)) - 1))
    assert len(os.fsencode(private_folder(fits).socket)) == LONGEST_SOCKET_PATH
    refused(fits.with_name(fits.name + "x"), "too long")
    assert not fits.with_name(fits.name + "x").exists()
    refused(fits.with_name(fits.name[:-1] + "é"), "too long")  # bytes count, not characters


@pytest.fixture
def places(tmp_path, monkeypatch):
    runtime, cache = tmp_path / "r", tmp_path / "c"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return runtime, cache


def test_the_sessions_runtime_folder_is_the_first_choice(places):
    assert default_folder() == places[0] / "nanoscope"
    assert not default_folder().exists()


@pytest.mark.parametrize("runtime", ["", "relative", "/nowhere/at/all"])
def test_without_one_it_lies_in_the_cache_folder(places, monkeypatch, runtime):
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    assert default_folder() == places[1] / "nanoscope" / "run"


def test_another_users_runtime_folder_is_passed_over(places, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert default_folder() == places[1] / "nanoscope" / "run"


def test_too_long_a_name_is_passed_over(places, monkeypatch):
    long = places[0] / ("x" * 90)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    assert default_folder() == places[1] / "nanoscope" / "run"
    monkeypatch.setenv("XDG_CACHE_HOME", str(long))
    short = default_folder()
    assert short.name == f"nanoscope-{os.getuid()}"
    assert len(os.fsencode(short)) < 90
    monkeypatch.setattr(run_folder.tempfile, "gettempdir", lambda: str(long))
    assert default_folder() == Path("/tmp") / short.name


def test_the_token_is_for_this_user_alone(tmp_path, monkeypatch):
    folder = private_folder(tmp_path / "run")
    with pytest.raises(FileNotFoundError):
        read_token(folder)
    write_token(folder, 4711, "old")
    write_token(folder, 4712, "secret")
    assert read_token(folder) == (4712, "secret")
    assert os.listdir(folder.path) == [folder.token.name]
    assert stat.S_IMODE(os.stat(folder.token).st_mode) == 0o600
    folder.token.chmod(0o640)
    with pytest.raises(PermissionError, match="open to others"):
        read_token(folder)
    folder.token.chmod(0o600)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(PermissionError, match="open to others"):
        read_token(folder)


def test_a_token_that_cannot_take_its_place_leaves_nothing(tmp_path):
    folder = RunFolder(tmp_path)
    (folder.token / "in the way").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"tcp\.json"):
        write_token(folder, 1, "x")
    assert os.listdir(tmp_path) == [folder.token.name]


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"port": "x", "token": "y"}), '{"port": 1'])
def test_a_damaged_token_counts_as_none(tmp_path, text):
    folder = private_folder(tmp_path / "run")
    write_token(folder, 1, "x")
    folder.token.write_text(text)
    with pytest.raises(FileNotFoundError):
        read_token(folder)
