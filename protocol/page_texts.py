"""What docs/protocol.md says that no table does: how to connect and how the two doors differ."""

from __future__ import annotations

HEADER = """\
<!-- Generated from protocol/ by `make protocol`: change it there, not here. -->

# The protocol

JSON-RPC 2.0 to nanoscope's daemon, which holds the model, captures what it does while it writes, and keeps the traces.
One daemon serves all of a user's editors and scripts. The same is there for programs:
[openrpc.json](../protocol/openrpc.json), which `rpc.discover` answers, [schema.json](../protocol/schema.json), and
types in [protocol.ts](../vscode-client/src/protocol.ts).
"""

CONNECTING = """\
## Connecting

Start `nanoscope stdio` and talk to its stdin and stdout: it starts the daemon where none runs, and passes bytes both
ways. `nanoscope stdio --private` serves one client from its own process instead.

The daemon has two doors on one socket. The first byte that a client sends tells which one it comes through; a method
gives the same result and the same error through both.

| | editor door | line door |
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

Params go by name, and unknown ones are an error; a client passes over fields of a result that it does not know. A
message has at most 16 MiB, and values nest up to 100 deep. NaN and infinity are not JSON: where a number is not finite,
a result has null.
"""
