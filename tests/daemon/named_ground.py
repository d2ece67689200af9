"""Checkpoints whose answers can be told apart, a run folder, and clients of every kind in surroundings of their own."""

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from daemon.client.sync import Client
from daemon.settings import Settings, load_settings
from nanochat.checkpoint_manager import load_model
from nanochat.interpretability_engine import InterpretabilityEngine
from protocol.errors import RpcError
from tests.checkpoints import write_checkpoint, write_flat, write_tokenizer
from tests.daemon.commands import COMMAND, ROOT, Outcome, run
from tests.daemon.running import end_daemons, environment_set_to, private_environment
from tests.models import random_model

PROMPT = "Hello"
SHORT: dict[str, Any] = {"max_tokens": 6, "temperature": 0, "capture": {"sites": [], "logits": None}}
SECONDS = 60.0  # no test waits longer for anything
DEMO = ROOT / "nanochat" / "demo_model" / "model.safetensors"


@dataclass(frozen=True)
class Ground:
    """A run folder without a daemon yet, and checkpoints whose answers all differ.

    In `a` and `b`, two base folders of nanochat's, sft d4 of steps 10 and 20 and base d12; a folder `mine`.
    """

    folder: Path
    environment: dict[str, str]

    @property
    def a(self) -> Path:
        return self.folder / "a"

    @property
    def b(self) -> Path:
        return self.folder / "b"

    def weights(self, base: str, kind: str = "chatsft", tag: str = "d4", step: int = 20) -> Path:
        return self.folder / base / f"{kind}_checkpoints" / tag / f"model_{step:06d}.pt"

    @property
    def mine(self) -> Path:
        return self.folder / "mine" / "model_000030.pt"

    def run(self, *words: str, **variables: Any) -> Outcome:
        """A command with some environment variables of its own."""
        with environment_set_to(self.environment | {name: str(value) for name, value in variables.items()}):
            return run(*words)

    def capture(self, *words: str, **variables: Any) -> Path:
        """The weights that a capture's answer is of: by its own word, by the trace's, and by what was written."""
        done = self.refusable(*words, **variables)
        assert done.status == 0, done.err
        return self.answered(json.loads(done.out))

    def refusable(self, *words: str, **variables: Any) -> Outcome:
        return self.run("capture", PROMPT, "-n", "6", "-t", "0", "--logits", "none", "--json", *words, **variables)

    def answered(self, result: dict[str, Any]) -> Path:
        path = Path(result["model"]["path"])
        assert result["summary"]["model"]["path"] == str(path)
        for key in ("source", "tag", "step", "era"):
            assert result["summary"]["model"][key] == result["model"][key]
        assert result["response"] == written_by(path)
        return path

    def settings(self, **flags: Any) -> Settings:
        with environment_set_to(self.environment):
            return load_settings({name: str(value) for name, value in flags.items()})[0]

    def client(self, **flags: Any) -> Client:
        return Client(self.settings(**flags), traces_dir=self.folder / "traces")

    def asks(self, client: Client) -> Path:
        """The weights that a client's capture was answered by."""
        return self.answered(msgspec.to_builtins(client.generate_and_capture(PROMPT, **SHORT)))


@contextlib.contextmanager
def named_ground() -> Iterator[Ground]:
    """A ground of a test's own; its environment is this process's meanwhile."""
    with private_environment() as (folder, environment):
        names = {"RUNTIME_DIR": "run", "TRACES_DIR": "traces", "LOG_FILE": "log/daemon.log"}
        environment |= {f"NANOSCOPE_{name}": str(folder / place) for name, place in names.items()}
        environment.pop("NANOCHAT_BASE_DIR", None)
        environment["HOME"] = str(folder / "home")
        made = Ground(folder, environment)
        write_models(made)
        try:
            with environment_set_to(environment):
                yield made
        finally:
            end_daemons(folder / "run")


def write_models(ground: Ground) -> None:
    for number, base in enumerate((ground.a, ground.b)):
        write_tokenizer(base / "tokenizer")
        for step in (10, 20):
            write_checkpoint(base / "chatsft_checkpoints" / "d4", step, model(100 * number + step))
        write_checkpoint(base / "base_checkpoints" / "d12", 20, model(100 * number + 5))
    write_flat(ground.folder / "mine", 30, model(77))


@cache
def model(seed: int) -> Any:
    return random_model(seed=seed, n_layer=1, n_embd=32, n_head=2, n_kv_head=1, sequence_len=32)


@cache
def written_by(weights: Path) -> str:
    """What the library writes with a checkpoint."""
    source = "demo" if weights == DEMO else weights
    loaded, tokenizer, _ = load_model(source, "cpu", "eval")
    with tempfile.TemporaryDirectory() as folder:
        engine = InterpretabilityEngine(loaded, tokenizer, folder)
        return engine.generate_and_capture(PROMPT, **SHORT)["response"]


def refusal(ask: Any) -> RpcError:
    with pytest.raises(RpcError) as caught:
        ask()
    return caught.value


def stdio(ground: Ground, *flags: str, lines: list[dict[str, Any]], **variables: Any) -> list[dict[str, Any]]:
    """What `nanoscope stdio` answers, line by line."""
    done = subprocess.run(
        [*COMMAND, "stdio", *flags],
        cwd=ROOT,
        env=ground.environment | {name: str(value) for name, value in variables.items()},
        input="".join(json.dumps({"jsonrpc": "2.0", "id": number} | line) + "\n" for number, line in enumerate(lines)),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    answers = {answer["id"]: answer for answer in map(json.loads, done.stdout.splitlines()) if "id" in answer}
    return [answers[number] for number in range(len(lines))]


GENERATE = {"method": "generate_and_capture", "params": {"prompt": PROMPT, **SHORT}}


class Editor:
    """An editor over `nanoscope stdio`, as VS Code starts it: settings as flags, surroundings as variables."""

    def __init__(self, ground: Ground, *flags: str, options: dict[str, Any] | None = None, **variables: Any):
        self.process = subprocess.Popen(
            [*COMMAND, "stdio", *flags],
            cwd=ROOT,
            env=ground.environment | {name: str(value) for name, value in variables.items()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.told: list[dict[str, Any]] = []
        params = {"processId": None, "rootUri": None, "capabilities": {}, "initializationOptions": options}
        self.ask("initialize", params)
        self.send({"method": "initialized", "params": {}})

    def send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0"} | message).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        output = self.process.stdout
        assert output is not None
        size = 0
        while line := output.readline().strip():
            if line.lower().startswith(b"content-length:"):
                size = int(line.split(b":")[1])
        assert size, "it hung up"
        return json.loads(output.read(size))

    def ask(self, method: str, params: Any) -> dict[str, Any]:
        self.send({"id": method, "method": method, "params": params})
        while (message := self.receive()).get("id") != method or "method" in message:
            self.told.append(message)
        return message

    def capture(self, uri: str = "file:///a.prompt") -> dict[str, Any]:
        """Capture the prompt of a document by the lens's command."""
        text = f"seed: 1\nmax_tokens: 6\ntemperature: 0\n\n{PROMPT}"
        document = {"uri": uri, "languageId": "prompt", "version": 1, "text": text}
        self.send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        return self.ask("workspace/executeCommand", {"command": "nanoscope.capturePrompt", "arguments": [uri, 0]})

    def __enter__(self) -> "Editor":
        return self

    def __exit__(self, *exception: object) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(SECONDS)
        self.process.stdout.close()
