"""The way in: nanoscope's own packages before others of the same names. Importing it does nothing."""

from __future__ import annotations

import importlib
import os
import sys

NAMES = ("daemon", "nanochat", "protocol")


def own_folder() -> str:
    """Where this nanoscope's packages lie: inside this one as installed from a wheel, beside it in a clone."""
    here = os.path.dirname(os.path.abspath(__file__))
    inside = os.path.join(here, "packages")
    return inside if os.path.isdir(inside) else os.path.dirname(here)


def own_packages_first() -> None:
    """Have `import nanochat`, `daemon` and `protocol` mean nanoscope's own, in a clone of nanochat too.

    Raises:
        ImportError: another package of one of these names was imported before.
    """
    folder = own_folder()
    for name in NAMES:
        place = _folder_of(name)
        if place is not None and place != os.path.realpath(os.path.join(folder, name)):
            raise ImportError(
                f"`{name}` was imported from {place} before, which is not nanoscope's: call "
                "nanoscope.own_packages_first() before that, or in a process of its own."
            )
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)
        importlib.invalidate_caches()


def _folder_of(name: str) -> str | None:
    """Where a package that has been imported lies; None: it has not been."""
    places = list(getattr(sys.modules.get(name), "__path__", ()))
    return os.path.realpath(places[0]) if places else None


def main() -> int:
    """The command `nanoscope`; its exit status."""
    own_packages_first()
    from daemon.__main__ import main as run

    return run()
