"""A wheel's layout: the packages lie in a folder of nanoscope's own, since other projects have some of the same names.

`daemon` is python-daemon's as well, `nanochat` nanochat's: neither may be overwritten, nor go when nanoscope does. The
folder comes last on the import path (nanoscope.pth); the command `nanoscope` puts it first, for itself.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MOVED = ("daemon", "nanochat", "protocol")


class WheelLayout(BuildHookInterface):
    """Moves packages in wheels; an editable installation finds them where they are."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it builds: `version` is "standard" or "editable"."""
        if version == "standard":
            build_data["force_include"] |= {name: f"nanoscope/packages/{name}" for name in MOVED}
            build_data["force_include"]["nanoscope/nanoscope.pth"] = "nanoscope.pth"
