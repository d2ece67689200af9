"""Files that others own, under all sorts of hidden and temporary names, and whether they are still as they were."""

from __future__ import annotations

import hashlib
import os
import random
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from nanochat.system.temporary_names import temporary_name

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_-"
OLDEST_SECONDS = 400 * 86_400
State = tuple[int, int, int, str]  # type and rights, size, time of change, content


def word(chance: random.Random, longest: int = 12) -> str:
    return "".join(chance.choices(LETTERS, k=chance.randint(1, longest)))


def some_bytes(chance: random.Random) -> bytes:
    """Empty, short, long, or what our own files begin with."""
    head = chance.choice([b"", b"mine", b'{"trace_id":"trace_1"', b"SQLite format 3\0", b'{"name": "x"}'])
    return head + chance.randbytes(chance.choice([0, 0, 10, 64, 500, 5000]))


def of_editors(chance: random.Random) -> str:
    """As editors, office programs and copying programs name what they have not finished."""
    form = chance.choice(
        [".{}.tmp", ".viminfo.tmp", ".{}.json.tmp", ".{}.safetensors.tmp", ".{}.swp", ".#{}", "#{}#", "{}~", ".{}",
         ".~lock.{}#", "~${}.docx", ".{}.part", ".{}.crdownload", ".goutputstream-{}", ".nfs{}", "{}.tmp", ".tmp.{}"]
    )  # fmt: skip
    return form.format(word(chance))


def of_first_edition(chance: random.Random) -> str:
    """As the first edition named its temporary files: nothing tells them from others'."""
    stem = chance.choice(["trace_20260101_120000_000000", "check", word(chance)])
    return f".{stem}.{chance.randbytes(6).hex()}.tmp"


def nearly_ours(chance: random.Random) -> str:
    """One of our names with something about it changed."""
    name = temporary_name(chance.randbytes(64))
    place = chance.randrange(1, len(name))
    changes: list[Callable[[], str]] = [
        lambda: name[:place] + chance.choice(LETTERS) + name[place + 1 :],
        lambda: name[:place] + name[place + 1 :],
        lambda: name[:place] + chance.choice(LETTERS) + name[place:],
        lambda: name.upper(),
        lambda: name[1:],
        lambda: "." + name,
        lambda: name + chance.choice(["~", ".tmp", " ", "\n", "2"]),
        lambda: name.replace("-tmp", ".tmp"),
    ]
    return chance.choice(changes)()


def as_ours(chance: random.Random) -> str:
    """One of our names; its content will be another."""
    return temporary_name(chance.randbytes(64))


def visible(chance: random.Random) -> str:
    """What lies where traces do, and is none."""
    return f"{word(chance)}.{chance.choice(['json', 'safetensors', 'txt', 'json.bak', 'npy'])}"


NAMES = (of_editors, of_editors, of_first_edition, nearly_ours, as_ours, as_ours, visible)


def make_file(path: Path, chance: random.Random) -> None:
    path.write_bytes(some_bytes(chance))


def make_folder(path: Path, chance: random.Random) -> None:
    path.mkdir()
    if chance.random() < 0.5:
        (path / as_ours(chance)).write_bytes(some_bytes(chance))


def make_link(path: Path, chance: random.Random) -> None:
    path.symlink_to(chance.choice(["nowhere", ".", "/etc/passwd", path.name, word(chance)]))


def make_pipe(path: Path, chance: random.Random) -> None:
    os.mkfifo(path)


KINDS: tuple[Callable[[Path, random.Random], None], ...] = (make_file,) * 12 + (
    make_folder,
    make_link,
    make_link,
    make_pipe,
)


def plant(folders: list[Path], count: int, chance: random.Random) -> None:
    """Spread others' files over some folders, with times of the last year."""
    for number in range(count):
        path = folders[number % len(folders)] / chance.choice(NAMES)(chance)
        if not os.path.lexists(path):
            chance.choice(KINDS)(path, chance)
            age(path, chance)


def age(path: Path, chance: random.Random) -> None:
    """Put a file's time into the past."""
    moment = os.lstat(path).st_mtime - chance.uniform(120, OLDEST_SECONDS)
    os.utime(path, (moment, moment), follow_symlinks=False)


def leave_over(folder: Path, count: int, chance: random.Random) -> list[Path]:
    """Files as our own writers leave them that die."""
    left = []
    for _ in range(count):
        content = chance.randbytes(chance.choice([64, 65, 10_000]))
        path = folder / temporary_name(content)
        path.write_bytes(content)
        age(path, chance)
        left.append(path)
    return left


def state_of(path: Path) -> State:
    """All that can be seen of a file, without changing anything about it."""
    status = os.lstat(path)
    content = ""
    if stat.S_ISREG(status.st_mode):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    elif stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)
    return status.st_mode, status.st_size, status.st_mtime_ns, content


def everything_in(folders: Iterable[Path]) -> dict[Path, State]:
    """The state of all that lies in some folders, theirs own included, and below them."""
    found: dict[Path, State] = {}
    for folder in folders:
        found[folder] = state_of(folder)
        for parent, below, files in os.walk(folder):
            found |= {path: state_of(path) for path in (Path(parent) / name for name in (*below, *files))}
    return found


def harm(before: dict[Path, State]) -> list[str]:
    """What has gone or become another since then."""
    return [
        f"{path} {'has gone' if not os.path.lexists(path) else 'has changed'}"
        for path, state in before.items()
        if not os.path.lexists(path) or state_of(path) != state
    ]
