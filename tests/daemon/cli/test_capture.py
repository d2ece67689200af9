"""`nanoscope capture`, on a real daemon."""

import json
import re
import signal
import subprocess
from pathlib import Path

import msgspec
import psutil
import pytest

from daemon.client.sync import Client
from protocol.types import GenerateAndCaptureResult
from tests.daemon.cli.prompts import PROMPT, TEXT
from tests.daemon.commands import COMMAND, ROOT, in_terminal, run, started
from tests.daemon.running import DaemonProcess, environment_set_to, private_settings

ENDLESS = ("-n", "240", "-t", "100", "-k", "0", "--seed", "1")  # nearly any token, and never the last


@pytest.mark.parametrize("shape", [(), ("--quiet",), ("--json",)])
def test_capture_says_on_stderr_how_large_a_trace_may_get(daemon: DaemonProcess, shape: tuple[str, ...]) -> None:
    large = run("capture", PROMPT, "-n", "2000", "-t", "0", *shape)
    assert large.status == 0
    assert "The trace takes up to" in large.err and "as safetensors" in large.err
    assert "takes up to" not in large.out or shape == ("--json",)  # in its notices
    assert "takes up to" not in run("capture", PROMPT, "-n", "20", "-t", "0", *shape).err


def test_the_first_command_starts_a_daemon_and_answers() -> None:
    with private_settings() as (settings, environment), environment_set_to(environment):
        done = subprocess.run([*COMMAND, "capture", PROMPT], cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, f"{TEXT}\n")
        trace_id, *counts = done.stderr.split()
        assert re.fullmatch(r"8 \+ 5 tokens, \d+ a second, by demo step 2400, era F", " ".join(counts))
        assert [row[0] for row in run("list").rows] == [trace_id]
        assert run("summary", trace_id).status == 0
        assert "demo" in run("status").out
        assert settings.runtime_dir.is_dir()


@pytest.mark.usefixtures("daemon")
class TestCapture:
    """What `capture` prints and keeps."""

    def test_json_is_the_result(self) -> None:
        done = run("capture", PROMPT, "-n", "4", "--json")
        result = msgspec.json.decode(done.out, type=GenerateAndCaptureResult)
        assert (result.prompt, result.response_tokens, done.err) == (PROMPT, 4, "")
        assert Path(result.path).is_file()

    def test_quiet_is_the_response(self) -> None:
        assert run("capture", PROMPT, "-q").out == " Paris.\n"

    def test_the_prompt_may_come_by_stdin(self) -> None:
        done = subprocess.run(
            [*COMMAND, "capture", "-", "-q"], cwd=ROOT, input=f"{PROMPT}\n", capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (0, " Paris.\n")

    def test_options_reach_the_model_and_the_trace(self, client: Client) -> None:
        narrow = ("--layers", "0,2", "--sites", "attention_weights", "--logits", "none")
        kept = ("--category", "narrow", "--metadata", "run=7", "--metadata", "by=me", "--format", "safetensors")
        made = json.loads(run("capture", PROMPT, "-n", "2", "-t", "0", "--seed", "3", *narrow, *kept, "--json").out)
        summary = client.get_summary(trace_id=made["trace_id"])
        of_attention = ("attention_weights", "value_norms")  # the norms are kept beside the weights
        assert summary.data_info.tensors.keys() == {f"{name}.layer_{n}" for name in of_attention for n in (0, 2)}
        assert summary.generation is not None
        assert {name: summary.generation[name] for name in ("max_tokens", "temperature", "seed")} == {
            "max_tokens": 2, "temperature": 0.0, "seed": 3
        }  # fmt: skip
        assert (summary.category, summary.metadata["run"], summary.metadata["by"]) == ("narrow", 7, "me")
        assert made["path"].endswith(".safetensors")

    def test_chat_sends_a_message(self, client: Client) -> None:
        made = json.loads(run("capture", "--chat", "What is the capital of France?", "-n", "3", "--json").out)
        assert client.get_tokens(trace_id=made["trace_id"]).tokens[1].text == "<|user_start|>"

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("--layers", "all"), "Invalid value for --layers: 'all' is not a list of numbers"),
            (("--logits", "some"), "Invalid value for --logits: 'some' is none of generated, all, none"),
            (("--metadata", "x"), "Invalid value for --metadata: 'x' is not NAME=VALUE"),
            (("-n", "-1"), "'--max-tokens' / '-n': Input should be greater than or equal to 0"),
            (("-t", "hot"), "'--temperature' / '-t': Input should be a valid number"),
            (("--format", "xml"), "'xml' is not one of 'json', 'safetensors'"),
            (("--fromat", "json"), "No such option: --fromat"),
            (("and", "more"), "Got unexpected extra argument(s) (and more)"),
        ],
    )
    def test_misuse(self, words: tuple[str, ...], said: str) -> None:
        done = run("capture", PROMPT, *words)
        assert (done.status, done.out) == (2, "")
        assert "Usage: nanoscope capture" in done.misuse
        assert said in done.misuse

    def test_errors_say_what_to_do(self) -> None:
        done = run("capture", "x " * 20_000)
        assert (done.status, done.out) == (1, "")
        assert re.fullmatch(r"error: .* tokens.*\n", done.err)

    def test_ctrl_c_cancels(self, client: Client) -> None:
        before = client.list_traces().total
        with started("capture", PROMPT, *ENDLESS) as process:
            assert process.stdout is not None
            assert process.stdout.read(len(PROMPT)) == PROMPT
            process.send_signal(signal.SIGINT)
            _, err = process.communicate()
        assert (process.returncode, err) == (130, "Cancelled, nothing saved.\n")
        assert client.list_traces().total == before
        assert not client.get_status().queue.running

    def test_a_daemon_that_is_killed_meanwhile_is_an_error(self, daemon_process: DaemonProcess) -> None:
        with started("capture", PROMPT, *ENDLESS) as process:
            assert process.stdout is not None
            process.stdout.read(len(PROMPT))
            psutil.Process(daemon_process.pid).kill()
            _, err = process.communicate()
        assert process.returncode == 1
        assert err.startswith("error: The daemon went away before it answered generate_and_capture")

    def test_in_a_terminal_tokens_have_colours(self) -> None:
        done = in_terminal("capture", "Surprise me with", "-n", "6", "-t", "100", "-k", "0")
        assert done.status == 0
        assert "Surprise me with" in done.out
        assert "\x1b[2mSurprise me with\x1b[0m" in done.err
        assert "48;5;" in done.err  # a background for a surprising token
        assert "48;" not in in_terminal("capture", PROMPT, "-n", "3", "-t", "100", NO_COLOR="1").err
