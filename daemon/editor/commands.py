"""The commands of prompt documents: capturing a prompt, and showing its trace."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from lsprotocol import types as lsp

from daemon.editor.captures import parameters_of
from daemon.editor.lsp_values import CAPTURE_PROMPT, SHOW_TRACE, Snapshot
from daemon.editor.params import Token, member, take_token
from daemon.editor.prompt_parser import Prompt
from daemon.server.dispatch import dispatch, guarded
from protocol.errors import RpcError
from protocol.methods import GENERATE_AND_CAPTURE

if TYPE_CHECKING:
    from daemon.editor.documents import Documents
    from daemon.server.session import Call

READABLE = ".json"  # traces that an editor shows as text

_numbers = count(1)


async def capture_prompt(documents: Documents, call: Call, params: dict[str, Any]) -> Any:
    """Generate and capture; the arguments are a document's uri, the prompt's number in it, its version, and its key."""
    uri, index, version, key = _arguments(params, tuple[str, int, int | None, str | None], (None, None))
    document = await documents.snapshot(uri)
    if document is None:
        raise RpcError("INVALID_PARAMS", f"{uri} is not open, or holds no prompts: open it, then capture again.")
    if document.unknown:
        raise RpcError("INVALID_PARAMS", document.unknown)
    prompt = meant(document, index, version, key)
    wrong = next((problem for problem in prompt.problems if problem.severity == "error"), None)
    if wrong is not None:
        raise RpcError("INVALID_PARAMS", f"Line {wrong.line + 1}: {wrong.message}")
    _, token = take_token(params)
    token, agreed = _new_token(documents) if token is None else (token, None)
    try:
        with documents.protocol.context(call, token, f"Capturing “{prompt.name}”", agreed) as context:
            return await dispatch(context, GENERATE_AND_CAPTURE.name, parameters_of(prompt))
    finally:
        documents.refresh.trigger()


def meant(document: Snapshot, index: int, version: int | None, key: str | None) -> Prompt:
    """The prompt that a lens was over, though the document may have changed since.

    Args:
        index, version, key: the lens's arguments.

    Raises:
        RpcError: INVALID_PARAMS, where it cannot be told, or is there no more.
    """
    prompts = document.parsed.prompts
    if key is not None:
        same = [place for place, prompt in enumerate(prompts) if prompt.key == key]
        if not same:  # its settings may have been edited, and are then those that are asked for
            text = key.split(".")[0]
            same = [place for place, prompt in enumerate(prompts) if prompt.key.split(".")[0] == text]
            same = same if len(same) == 1 else []
        index = min(same, key=lambda place: abs(place - index), default=-1)
    elif version is not None and version != document.version:
        index = -1
    if not 0 <= index < len(prompts):
        raise RpcError("INVALID_PARAMS", "The prompt is not where it was: the document has changed, so try again.")
    return prompts[index]


def _new_token(documents: Documents) -> tuple[Token | None, asyncio.Future[bool] | None]:
    """A token to show progress under, and whether the editor takes it; None where the editor shows none."""
    if not documents.supports("window.work_done_progress"):
        return None, None
    token = f"nanoscope/{documents.session.number}/{next(_numbers)}"

    params = lsp.WorkDoneProgressCreateParams(token)
    answer = documents.questions.ask(lsp.WINDOW_WORK_DONE_PROGRESS_CREATE, params)

    async def agreed() -> bool:
        return (await answer)[0]

    return token, documents.run(agreed())


async def show_trace(documents: Documents, call: Call, params: dict[str, Any]) -> Any:
    """Open a trace's file in the editor, or say where it is."""
    (trace_id,) = _arguments(params, tuple[str])
    storage = documents.state.folder_of(documents.session).storage
    path: Path = await documents.in_readers(storage.path_of, trace_id)
    named = lsp.ShowMessageParams(lsp.MessageType.Info, f"The trace is {path}")
    if path.suffix == READABLE and documents.supports("window.show_document.support"):
        asked = lsp.ShowDocumentParams(path.as_uri(), take_focus=True)
        documents.run(_shown(documents, documents.questions.ask(lsp.WINDOW_SHOW_DOCUMENT, asked), named))
    else:
        documents.server.window_show_message(named)
    return {"trace_id": trace_id, "path": str(path)}


async def _shown(documents: Documents, answer: Awaitable[tuple[bool, Any]], otherwise: lsp.ShowMessageParams) -> None:
    agreed, result = await answer
    if not (agreed and result.success):
        documents.server.window_show_message(otherwise)


def _arguments(params: dict[str, Any], types: Any, optional: tuple[object, ...] = ()) -> Any:
    """A command's arguments; `optional`: what stands for those that may be left out at the end."""
    given = member(params, "arguments")
    try:
        given = [*given, *optional] if isinstance(given, list) else given
        wanted = len(types.__args__)
        return msgspec.convert(given[:wanted] if isinstance(given, list) else given, types)
    except msgspec.ValidationError as error:
        raise RpcError(
            "INVALID_PARAMS", f"{params['command']}: its arguments are not as a lens has them: {error}."
        ) from error


Command = Callable[["Documents", "Call", dict[str, Any]], Awaitable[Any]]


def _guarded(command: Command) -> Command:
    async def execute(documents: Documents, call: Call, params: dict[str, Any]) -> Any:
        return await guarded(documents.context(), call.method, command(documents, call, params))

    return execute


EXECUTES: dict[str, Command] = {CAPTURE_PROMPT: _guarded(capture_prompt), SHOW_TRACE: _guarded(show_trace)}
