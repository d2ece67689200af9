"""What the fields mean that several types have: descriptions to put on them."""

from __future__ import annotations

from msgspec import Meta

TRACE_ID = Meta(description="The trace, as `list_traces` has it.")
PROMPT = Meta(description="What the model went on from; of a chat, the last message.")
RESPONSE = Meta(description="What the model wrote.")
PROMPT_TOKENS = Meta(description="How many, the first of all, `<|bos|>`, included.")
RESPONSE_TOKENS = Meta(description="How many, the one that ended it included.")
METADATA = Meta(description="The caller's own, with the model's source and the temperature.")
TIMESTAMP = Meta(description="When it was made, ISO 8601, with the offset from UTC; other programs may leave that out.")
CATEGORY = Meta(description="The name to find it by.")
PATH = Meta(description="Where it lies.")
TRACES_DIR = Meta(description="The traces folder.")
MODEL_HELD = Meta(description="The model held.")
QUEUE = Meta(description="The model's queue.")
ANALYSIS = Meta(description="What was computed when the trace was made, or now, where it has none.")
METRICS = Meta(description="What the numbers of heads, layers and tokens are, by their keys.")
FORCED = Meta(description="The calculator chose it, or whoever forked the text, not the model.")
SURPRISAL = Meta(
    description="Bits: -log2 of its probability at temperature 1; null where there are no logits to tell it from."
)
TOP = Meta(description="What was likely there, the likeliest first.")
TOKEN_TEXT = Meta(description="Its text; bytes that are not UTF-8 are shown as `\\xNN`.")
TOKEN = Meta(description="Its number in the vocabulary.")
POSITION = Meta(description="In the whole sequence, from 0, which is `<|bos|>`.")
PARENT = Meta(
    description="The trace that it was made from, by `intervene` or `fork_trace`; null: it is nobody's child."
)
FORKED = Meta(description="The position at which its parent was forked; null where it is no fork.")
CHANGED = Meta(description="What was changed, in words, such as `without L3H2`; null where nothing was.")
INTERVENTIONS = Meta(description="What was changed while it was made, as it can be sent again.")
TOUCHED = Meta(description="Of each intervention, how many positions it touched.")
REQUEST = Meta(description="The id of the request that this is about.")
PID = Meta(description="The daemon's process.")
SOURCE = Meta(description="`base`, `mid`, `sft`, `rl`, `demo`, or a folder.")
PROTOCOL_VERSION = Meta(description="The protocol's version.")
PACKAGE_VERSION = Meta(description="nanoscope's version.")
SESSION = Meta(description="The client's number, while the daemon lives.")
STEP = Meta(description="The training step of a checkpoint.")
TAG = Meta(description="Which of the source's models.")
ERA = Meta(description="The architecture, by the letter that nanoscope gives it.")
DEVICE = Meta(description="`cpu`, `cuda` or `mps`.")
COMPUTE_DTYPE = Meta(description="What is computed in.")
WINDOW_PATTERN = Meta(description="The layers' windows, such as SSSL, where the checkpoint does not record them.")
