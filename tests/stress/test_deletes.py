"""The stress test of deletes sees what has gone, has changed and is left over; its short form is among the daemon's."""

import os
import random
from pathlib import Path

import pytest

from nanochat.system.temporary_names import remove_dead_files
from tests.stress.deletes_names import (
    NAMES,
    everything_in,
    harm,
    leave_over,
    make_file,
    make_folder,
    make_link,
    make_pipe,
    plant,
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [make_file, make_folder, make_link, make_pipe])
def test_nothing_of_others_is_taken_for_ours(tmp_path: Path, name, kind) -> None:
    chance = random.Random(7)
    for _ in range(200):
        path = tmp_path / name(chance)
        if not os.path.lexists(path):
            kind(path, chance)
    before = everything_in([tmp_path])
    assert remove_dead_files(tmp_path, -1e9) == 0
    assert harm(before) == []


def test_our_own_is(tmp_path: Path) -> None:
    chance = random.Random(7)
    plant([tmp_path], 300, chance)
    before = everything_in([tmp_path])
    del before[tmp_path]
    left = leave_over(tmp_path, 20, chance)
    assert remove_dead_files(tmp_path) == 20
    assert not any(path.exists() for path in left)
    assert harm(before) == []


def test_harm_is_seen(tmp_path: Path) -> None:
    for name in ("gone", "changed", "touched", "same"):
        (tmp_path / name).write_text("x")
    (tmp_path / "link").symlink_to("gone")
    before = everything_in([tmp_path])
    (tmp_path / "gone").unlink()
    (tmp_path / "changed").write_text("y")
    os.utime(tmp_path / "touched", (1, 1))
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("same")
    seen = {line.removeprefix(f"{tmp_path}/") for line in harm(before)}
    expected = {"gone has gone", "changed has changed", "touched has changed", "link has changed"}
    assert seen == expected | {f"{tmp_path} has changed"}
