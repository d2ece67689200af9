"""The process that holds the original nanochat: one request a line on stdin, one answer a line on stdout.

It runs as a program of its own, since the original's package has the same name as ours:

    python upstream_side.py FOLDER DEVICE THREADS

FOLDER holds the original's package; the model is the base checkpoint in $NANOCHAT_BASE_DIR. A request is the keyword
arguments of `Engine.generate`, an answer {tokens, seconds, idle_cpu_seconds}: the tokens, the seconds until the last of
them, and the CPU time that this process has spent since the answer before.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, TextIO


def open_channel() -> TextIO:
    """Standard output for the answers alone: whatever else is printed goes to stderr."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return channel


def load(folder: Path, device_name: str, threads: int) -> tuple[Any, Any]:
    """The original's Engine, and its torch device."""
    sys.path[0] = str(folder)  # in place of this file's own folder
    import torch

    from nanochat import checkpoint_manager, engine

    assert Path(engine.__file__).is_relative_to(folder), f"{engine.__file__} is not in {folder}"
    torch.set_num_threads(threads)
    device = torch.device(device_name)
    model, tokenizer, _ = checkpoint_manager.load_model("base", device, phase="eval")
    return engine.Engine(model, tokenizer), device


def answer(engine: Any, device: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Generate once. The clock stops at the last token, as the original then runs one forward that nobody reads."""
    import torch

    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    tokens, seconds = [], 0.0
    started = time.perf_counter()
    for column, _ in engine.generate(**request):
        tokens.append(column[0])
        if len(tokens) == request["max_tokens"]:
            wait()
        seconds = time.perf_counter() - started
    wait()
    return {"tokens": tokens, "seconds": seconds}


def main() -> None:
    """Answer until stdin ends."""
    channel = open_channel()
    folder, device_name, threads = sys.argv[1:]
    engine, device = load(Path(folder).resolve(), device_name, int(threads))
    answered = time.process_time()
    print(json.dumps({"ready": True}), file=channel, flush=True)
    for line in sys.stdin:
        idle = time.process_time() - answered
        result = answer(engine, device, json.loads(line)) | {"idle_cpu_seconds": idle}
        answered = time.process_time()
        print(json.dumps(result), file=channel, flush=True)


if __name__ == "__main__":
    main()
