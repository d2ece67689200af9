"""Where nanochat keeps its files."""

import os
from pathlib import Path

DEFAULT = "~/.cache/nanochat"


def get_base_dir() -> Path:
    """nanochat's base folder: `$NANOCHAT_BASE_DIR`, else `~/.cache/nanochat`; looking never creates it."""
    return Path(os.path.expanduser(os.environ.get("NANOCHAT_BASE_DIR") or DEFAULT))
