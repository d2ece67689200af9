"""A part of one prompt's forward put into another's: what carried the answer.

A scan (`scan`) reads two prompts (`pair`) once each (`runs`), and then tries every cell: exactly, by gradient, or by
paths. `resuming` runs a forward on from its middle.
"""

from nanochat.why.patching.pair import Pair, pair_of
from nanochat.why.patching.paths import Receiver
from nanochat.why.patching.scan import Axes, Scan, patch_scan, scan_axes, scan_forwards

__all__ = ["Axes", "Pair", "Receiver", "Scan", "pair_of", "patch_scan", "scan_axes", "scan_forwards"]
