"""What docs/protocol.md says that no table does: how to connect and how the two kinds of connection differ."""

from __future__ import annotations

HEADER = """\
<!-- Generated from protocol/ by `make protocol`: change it there, not here. -->

# The protocol

JSON-RPC 2.0 to nanoscope's daemon, which holds the model, captures what it does while it writes, and keeps the traces.
One daemon serves all of a user's editors and scripts. The same is there for programs:
[openrpc.json](../protocol/openrpc.json), which `rpc.discover` answers with the [metrics](metrics.md) of attention heads
added under `x-metrics`; [schema.json](../protocol/schema.json); and types in
[protocol.ts](../vscode-client/src/protocol.ts).
"""

CONNECTING = """\
## Connecting

Start `nanoscope stdio` and talk to its stdin and stdout: it starts the daemon where none runs, and passes bytes both
ways. `nanoscope stdio --private` serves one client from its own process instead.

The daemon has two kinds of connection on one socket. The first byte that a client sends tells which it is; a method
gives the same result and the same error on both.

| | an editor's | a script's |
| --- | --- | --- |
| a message | headers with `Content-Length`, then JSON, as in LSP | one JSON value, then a newline |
| begins with | `initialize`, then `initialized` | anything; `hello` says who calls |
| ends with | `shutdown` and `exit`, which end this session alone | the end of its input; what is asked is answered |
| batches | no | yes |
| cancel | `$/cancelRequest` | [cancel](#cancel) |
| progress | work-done progress, where a `workDoneToken` is sent | [request_progress](#request_progress) with `stream` |
| end the daemon | [shutdown](#shutdown) as the command `nanoscope.shutdown` | [shutdown](#shutdown) |
| own traces folder | `initializationOptions.traces_dir` | `traces_dir` of [hello](#hello) |

An editor also has every method as a command of `workspace/executeCommand`: `nanoscope.` and the method's name, with the
params as its one argument.

From a shell:

```
$ echo '{"jsonrpc": "2.0", "id": 1, "method": "list_traces", "params": {"limit": 5}}' | nanoscope stdio
```

Params go by name, and unknown ones are an error; a client passes over fields of a result that it does not know.

### What is read, exactly or not at all

A message has at most 16 MiB and 200,000 values, nests up to 100 deep, and is UTF-8; a byte order mark in front is
ignored. Each text, list and number of the params has a limit, which stands below and in the schema; where none stands
for a whole number it is 9,007,199,254,740,991. What is beyond it is INVALID_PARAMS, before anything is done.

Whole numbers are kept and sent with all their digits, in `metadata` up to 1,000 of them. Readers that know doubles
alone, JavaScript's among them, round those beyond 9,007,199,254,740,991: send such a number as a text where they are
to read it. A number that a double cannot hold (`1e400`), NaN, Infinity and half a character (`"\\ud83d"`) are refused
under the request's id; in an editor's text a half is kept, since the other half may follow. A message that is no JSON,
or too long, is answered under its id where `id` and `method` stand before its params, else with the id null.
In results null stands for a number that is not finite.
"""
