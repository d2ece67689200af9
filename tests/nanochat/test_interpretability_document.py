"""docs/INTERPRETABILITY.md is a promise: every Python block and command line in it runs as written."""

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from nanochat.analysis import all_metrics
from nanochat.checkpoint_manager import load_model, model_config_of, save_checkpoint

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = (ROOT / "docs" / "INTERPRETABILITY.md").read_text(encoding="utf-8")
METRICS = ROOT / "docs" / "metrics.md"
BLOCKS = dict(re.findall(r"^### ([^\n]+)\n\n```python\n(.*?)```", DOCUMENT, re.MULTILINE | re.DOTALL))
GIVEN = "f4fed1544fceb06e3ad98d4c747ce0e62ab253a2289cfe93babe72954a632853"  # of what is above the addendum
COMMAND = re.search(r"```bash\n(.*?)```", DOCUMENT, re.DOTALL)[1]  # type: ignore[index]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A user's machine: a base folder whose `sft` checkpoint is the built-in model, in nanochat's own format."""
    base = tmp_path_factory.mktemp("nanochat")
    model, tokenizer, _ = load_model("demo", "cpu", "eval")
    save_checkpoint(
        base / "chatsft_checkpoints" / "d4",
        700,
        model.state_dict(),
        None,
        {"step": 700, "model_config": model_config_of(model)},
    )
    tokenizer.save(base / "tokenizer")
    home = tmp_path_factory.mktemp("home")
    added = {"NANOCHAT_BASE_DIR": str(base), "HOME": str(home), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return {**os.environ, **added}


def run(command: list[str], environment: dict[str, str], folder: Path) -> str:
    finished = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_the_users_own_text_stands_as_it_was_given() -> None:
    text, _, addendum = DOCUMENT.partition("\n\n---\n\n## Addendum")
    assert hashlib.sha256(text.rstrip("\n").encode()).hexdigest() == GIVEN
    pages = addendum + METRICS.read_text()
    for key in all_metrics():
        assert f"`{key}`" in pages  # its unit
    assert "nats" in addendum and "bits" in addendum


def test_the_document_has_the_blocks_that_are_tested() -> None:
    assert list(BLOCKS) == ["Basic Usage", "Analysis", "Step-by-Step Capture", "Loading and Analyzing Existing Traces"]
    assert DOCUMENT.count("```python") == len(BLOCKS)


def test_every_python_block_runs_as_written(environment: dict[str, str], tmp_path: Path) -> None:
    program = 'device = "cpu"\n' + "\n".join(BLOCKS.values())
    said = run([sys.executable, "-c", program], environment, tmp_path)
    lines = said.splitlines()
    assert lines[0] == "Response:  Paris."
    assert re.fullmatch(r"Trace ID: trace_\d{8}_\d{6}_\d{6}", lines[1])
    assert [line for line in lines if re.fullmatch(r"Layer 0: entropy=\d+\.\d{4}", line)]
    assert [line for line in lines if re.fullmatch(r"Layer 3: pre_mlp sparsity=\d+\.\d{4}", line)]
    assert "Found 1 geography traces" in lines
    assert "Prompt: The capital of France is" in lines
    assert any(line.startswith("Trace info: {") for line in lines)


def test_the_steps_are_in_the_file(environment: dict[str, str], tmp_path: Path) -> None:
    run(
        [sys.executable, "-c", 'device = "cpu"\n' + BLOCKS["Basic Usage"] + BLOCKS["Step-by-Step Capture"]],
        environment,
        tmp_path,
    )
    traces = [json.loads(path.read_text()) for path in sorted((tmp_path / "traces").glob("*.json"))]
    assert ["intermediate_steps" in trace for trace in traces] == [False, True]
    steps = traces[1]["intermediate_steps"]
    assert len(steps) == len(traces[1]["tokens"]["output_tokens"])
    assert {"step", "token_embeddings", "output_logits", "attention_weights", "layer_activations"} <= steps[1].keys()


def test_the_file_has_the_structure_that_the_document_shows(environment: dict[str, str], tmp_path: Path) -> None:
    run([sys.executable, "-c", 'device = "cpu"\n' + BLOCKS["Basic Usage"]], environment, tmp_path)
    (path,) = (tmp_path / "traces").glob("*.json")
    trace = json.loads(path.read_text())
    assert path.name == f"{trace['trace_id']}.json"
    assert list(trace)[-1] == "model_data"
    assert {"timestamp", "prompt", "response", "category", "metadata", "tokens"} <= trace.keys()
    assert trace["metadata"] == {"model_source": "sft", "temperature": 0.6}
    prompt, generated = len(trace["tokens"]["input_tokens"]), len(trace["tokens"]["output_tokens"])
    data, positions = trace["model_data"], prompt + generated - 1
    assert data["token_embeddings"]["shape"][:2] == [1, positions]
    assert data["output_logits"]["shape"][:2] == [1, generated]
    assert data["output_logits"]["dtype"] == "torch.float32"
    assert set(data["attention_weights"]) == set(data["layer_activations"]) >= {"layer_0", "layer_3"}
    assert data["attention_weights"]["layer_0"]["shape"][2:] == [positions, positions]
    assert set(data["layer_activations"]["layer_0"]) == {"pre_attn_norm", "post_attn", "pre_mlp_norm", "post_mlp"}


def test_the_command_line_runs_as_written(environment: dict[str, str], tmp_path: Path) -> None:
    arguments = shlex.split(COMMAND.replace("\\\n", " "))
    assert arguments[:3] == ["python", "-m", "scripts.interpretability_demo"]
    said = run([sys.executable, *arguments[1:]], environment, tmp_path)
    (path,) = (tmp_path / "traces").glob("*.json")
    assert path.stem in said
    trace = json.loads(path.read_text())
    assert trace["category"] == "science"
    assert trace["response"].strip() in said
    assert "H2O" in trace["response"]
    assert len(trace["intermediate_steps"]) == len(trace["tokens"]["output_tokens"])
