"""The method table: what the daemon answers and what it tells of its own accord, each once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from protocol import types
from protocol.types import Params

PROTOCOL_VERSION = "1"
ALWAYS = ("INVALID_PARAMS", "INTERNAL_ERROR", "CANCELLED")  # what any method may answer
TRACE_ERRORS = ("TRACE_ID_INVALID", "TRACE_NOT_FOUND", "TRACE_UNREADABLE", "STORAGE_FAILED")
MODEL_ERRORS = ("MODEL_NOT_LOADED", "CHECKPOINT_INVALID", "SETTING_INVALID", "QUEUE_FULL", "SHUTTING_DOWN")


@dataclass(frozen=True)
class Method:
    """A method: its name, params, result (None: null), what it is for, the errors of its own; then its policy.

    Args:
        repeatable: asking twice changes nothing, so a client that lost the answer asks again. No other method is ever
            sent again without the caller's knowing.
        long: it takes as long as it takes: clients set no time limit of their own.
        about_daemon: it asks of the daemon itself: a session that asks nothing else has not used the daemon.
        at_once: it is answered however many of the session's requests run.
        by_connection: a client's connection sends it; it is not among the client's calls.
    """

    name: str
    params: type[Params]
    result: Any
    summary: str
    errors: tuple[str, ...] = ()
    repeatable: bool = False
    long: bool = False
    about_daemon: bool = False
    at_once: bool = False
    by_connection: bool = False

    @property
    def streams(self) -> bool:
        """Whether it tells its progress where it is asked to."""
        return "stream" in self.params.__struct_fields__

    @property
    def writes(self) -> bool:
        """Whether it writes a text, token by token."""
        return isinstance(self.result, type) and issubclass(self.result, types.WrittenResult)


@dataclass(frozen=True)
class Notification:
    """Something the daemon tells a client; `to` says which."""

    name: str
    params: type[Params]
    summary: str
    to: str


HELLO = Method(
    "hello",
    types.HelloParams,
    types.HelloResult,
    "Say who calls, which versions it expects, which traces folder it uses, and which model it means.",
    ("VERSION_MISMATCH", "STORAGE_FAILED"),
    repeatable=True,
    about_daemon=True,
    by_connection=True,
)
GENERATE_AND_CAPTURE = Method(
    "generate_and_capture",
    types.GenerateAndCaptureParams,
    types.GenerateAndCaptureResult,
    "Write on from a prompt or answer a chat, capture what the model does on the way, and keep it as a trace.",
    (
        "PROMPT_INVALID", "PROMPT_TOO_LONG", "CATEGORY_INVALID", "NON_FINITE", *TRACE_ERRORS, "STORAGE_FULL",
        "OTHER_MODEL", "MODEL_MISMATCH", *MODEL_ERRORS,
    ),
    long=True,
)  # fmt: skip
INTERVENE = Method(
    "intervene",
    types.InterveneParams,
    types.InterveneResult,
    "Run a trace's prompt again, with its seed and settings, on a changed model or on another one: a child trace.",
    GENERATE_AND_CAPTURE.errors,
    long=True,
)
FORK_TRACE = Method(
    "fork_trace",
    types.ForkTraceParams,
    types.ForkTraceResult,
    "Put another token into a trace's text and go on from there, with its seed and settings: a child trace.",
    INTERVENE.errors,
    long=True,
)
LIST_TRACES = Method(
    "list_traces",
    types.ListTracesParams,
    types.ListTracesResult,
    "The traces of the session's folder, newest first, unreadable ones with the reason.",
    ("CATEGORY_INVALID", "STORAGE_FAILED"),
    repeatable=True,
)
ANALYZE_TRACE = Method(
    "analyze_trace",
    types.TraceParams,
    types.AnalyzeTraceResult,
    "A trace's statistics: attention and head roles, activations, logits.",
    TRACE_ERRORS,
    repeatable=True,
)
GET_SUMMARY = Method(
    "get_summary",
    types.TraceParams,
    types.TraceSummary,
    "A trace's metadata, and the shape and dtype of each tensor in it.",
    TRACE_ERRORS,
    repeatable=True,
)
GET_DOCUMENT = Method(
    "get_document",
    types.TraceParams,
    types.TraceDocument,
    "All of a trace but its tensors: what it is, its tokens and its statistics, in one answer.",
    TRACE_ERRORS,
    repeatable=True,
)
GET_TENSOR = Method(
    "get_tensor",
    types.GetTensorParams,
    types.GetTensorResult,
    "A tensor of a trace, or a part of it: a head, a step, some rows and columns.",
    (*TRACE_ERRORS, "TOO_LARGE"),
    repeatable=True,
)
GET_ATTENTION = Method(
    "get_attention",
    types.GetAttentionParams,
    types.GetTensorResult,
    "A head's attention as it is looked at: several heads combined, without the sink, weighted by values.",
    (*TRACE_ERRORS, "TOO_LARGE"),
    repeatable=True,
)
GET_HEAD_THUMBNAILS = Method(
    "get_head_thumbnails",
    types.GetHeadThumbnailsParams,
    types.GetHeadThumbnailsResult,
    "Every head's attention as a small picture: the largest weight in each block of cells.",
    TRACE_ERRORS,
    repeatable=True,
)
GET_TOKENS = Method(
    "get_tokens",
    types.TraceParams,
    types.GetTokensResult,
    "A trace's tokens: text, surprisal, and what else was likely.",
    TRACE_ERRORS,
    repeatable=True,
)
GET_ALTERNATIVES = Method(
    "get_alternatives",
    types.GetAlternativesParams,
    types.GetAlternativesResult,
    "What was likely at one position: every candidate that the trace keeps, not the first five.",
    TRACE_ERRORS,
    repeatable=True,
)
COMPARE_TRACES = Method(
    "compare_traces",
    types.CompareTracesParams,
    types.CompareTracesResult,
    "Which positions of two traces belong together, and how differently each head looks at them.",
    TRACE_ERRORS,
    repeatable=True,
    long=True,
)
DIFF_TRACES = Method(
    "diff_traces",
    types.DiffTracesParams,
    types.DiffTracesResult,
    "What differs between two traces: where they part, and then tokens, heads and sites, as numbers.",
    (*TRACE_ERRORS, "TOO_LARGE"),
    repeatable=True,
    long=True,
)
LOGIT_LENS = Method(
    "logit_lens",
    types.LogitLensParams,
    types.LogitLensResult,
    "What the residual stream would say at every point on its way, and where the answer was decided.",
    (*TRACE_ERRORS, "OTHER_MODEL", "TOO_LARGE", "NON_FINITE", "MODEL_MISMATCH", *MODEL_ERRORS),
    repeatable=True,
    long=True,
)
ATTRIBUTE_LOGITS = Method(
    "attribute_logits",
    types.AttributeLogitsParams,
    types.AttributeLogitsResult,
    "Who wrote a logit: the embedding, every head and every MLP, as a sum.",
    (*TRACE_ERRORS, "OTHER_MODEL", "TOO_LARGE", "NON_FINITE", "MODEL_MISMATCH", *MODEL_ERRORS),
    repeatable=True,
    long=True,
)
PATCH_SCAN = Method(
    "patch_scan",
    types.PatchScanParams,
    types.PatchScanResult,
    "What carried an answer: parts of a clean prompt's forward put into a corrupted prompt's, a cell at a time.",
    (
        *TRACE_ERRORS, "PROMPT_INVALID", "PROMPT_TOO_LONG", "OTHER_MODEL", "TOO_LARGE", "NON_FINITE", "MODEL_MISMATCH",
        *MODEL_ERRORS,
    ),
    repeatable=True,
    long=True,
)  # fmt: skip
ABLATION_SCAN = Method(
    "ablation_scan",
    types.AblationScanParams,
    types.AblationScanResult,
    "What the model would say without each of its heads and MLPs, each switched off alone.",
    (*TRACE_ERRORS, "OTHER_MODEL", "TOO_LARGE", "NON_FINITE", "MODEL_MISMATCH", *MODEL_ERRORS),
    repeatable=True,
    long=True,
)
SCAN_HEADS = Method(
    "scan_heads",
    types.ScanHeadsParams,
    types.ScanHeadsResult,
    "What every head of the model does by habit, whatever the text: its roles, found once and kept.",
    ("MODEL_MISMATCH", *MODEL_ERRORS),
    repeatable=True,
    long=True,
)
WHY = Method(
    "why",
    types.WhyParams,
    types.WhyResult,
    "Why the model said a token, in ten sentences: how sure it was, where it was decided, by whom, what flips it.",
    (*TRACE_ERRORS, "OTHER_MODEL", "NON_FINITE", "MODEL_MISMATCH", *MODEL_ERRORS),
    repeatable=True,
    long=True,
)
DELETE_TRACE = Method(
    "delete_trace", types.TraceParams, types.DeleteTraceResult, "Delete a trace from the disk.", TRACE_ERRORS
)
GET_STATUS = Method(
    "get_status",
    types.GetStatusParams,
    types.GetStatusResult,
    "How the daemon is: versions, model, queue, sessions, watchers, memory.",
    repeatable=True,
    about_daemon=True,
)
LIST_MODELS = Method(
    "list_models",
    types.NoParams,
    types.ListModelsResult,
    "The checkpoints that can be loaded, and the model held.",
    repeatable=True,
)
LOAD_MODEL = Method(
    "load_model",
    types.LoadModelParams,
    types.LoadModelResult,
    "Switch to another checkpoint, for all sessions; the one held stays if it cannot be loaded.",
    MODEL_ERRORS,
    long=True,
)
CANCEL = Method(
    "cancel",
    types.CancelParams,
    types.CancelResult,
    "Cancel a request of one's own that waits or runs; it answers CANCELLED. (Editors send `$/cancelRequest`.)",
    about_daemon=True,
    at_once=True,
    by_connection=True,
)
SHUTDOWN = Method(
    "shutdown",
    types.ShutdownParams,
    None,
    "End the daemon; without `force` only if nobody else uses it. (An editor's `shutdown` ends its session alone.)",
    ("IN_USE",),
    about_daemon=True,
)
DISCOVER = Method(
    "rpc.discover",
    types.NoParams,
    dict[str, Any],
    "This protocol as an OpenRPC document, with the table of metrics under `x-metrics`.",
    repeatable=True,
    about_daemon=True,
)

METHODS: dict[str, Method] = {row.name: row for row in list(vars().values()) if isinstance(row, Method)}

TRACES_CHANGED = Notification(
    "traces_changed", types.TracesChanged, "Traces came, changed or went.", "every session that uses the folder"
)
GENERATION_PROGRESS = Notification(
    "generation_progress", types.GenerationProgress, "A token as it comes.", "the caller that asked to stream"
)
REQUEST_PROGRESS = Notification(
    "request_progress",
    types.RequestProgress,
    "A request waits in the queue, waits for the model, or begins.",
    "the caller that asked to stream",
)
MODEL_CHANGED = Notification("model_changed", types.ModelChanged, "The model held is another.", "every session")
STATUS_CHANGED = Notification(
    "status_changed", types.StatusChanged, "The queue or the sessions changed.", "every session"
)

NOTIFICATIONS: dict[str, Notification] = {
    row.name: row for row in list(vars().values()) if isinstance(row, Notification)
}
