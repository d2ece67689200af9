"""Questions cancelled on their way, over a real socket: each ends at once, and all is bit for bit as before."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nanochat.why.fingerprint import fingerprint
from tests.checkpoints import load, write_flat
from tests.daemon.running import DaemonProcess, running_daemon
from tests.models import random_model
from tests.stress.wire_client import WireClient

SIZES = {"n_layer": 12, "n_embd": 64, "n_head": 4, "n_kv_head": 4, "sequence_len": 512}
TEXT, OTHER_TEXT = "q" * 380, "z" + "q" * 379  # a token a character: a question about them takes seconds
AT = 380
TRACE = {"max_tokens": 0, "capture": {"sites": [], "logits": None}}
PATCHED = {"clean": {"prompt": TEXT}, "corrupted": {"prompt": OTHER_TEXT}, "answer": 5, "against": 7, "stream": True}


@dataclass(frozen=True)
class Ground:
    """A daemon with a model that takes its time, which the first answer has loaded; and a trace of it."""

    process: DaemonProcess
    checkpoint: Path
    trace_id: str

    def asked(self, method: str) -> dict[str, Any]:
        """A question that takes seconds."""
        about = {"trace_id": self.trace_id, "position": AT, "token": 5}
        return {
            "ablation_scan": about,
            "why": {"trace_id": self.trace_id, "position": AT},
            "scan_heads": {"ablate": True},
            "patch_scan": PATCHED,
        }[method]

    def answers(self, client: WireClient) -> list[Any]:
        """What the model says, to the last digit; the roles are kept in a file that is named for its weights."""
        about = {"trace_id": self.trace_id, "position": AT, "token": 5}
        lens = {"trace_id": self.trace_id, "positions": [AT]}
        asked = [("attribute_logits", about), ("logit_lens", lens), ("scan_heads", {"ablate": False})]
        return [client.call(method, params) for method, params in asked]

    def files(self) -> dict[str, bytes]:
        """All that lies beside the checkpoint, among the traces, and where the user's files are kept."""
        places = [self.process.settings.traces_dir, self.checkpoint, self.kept]
        return {str(path): path.read_bytes() for place in places for path in place.rglob("*") if path.is_file()}

    @property
    def kept(self) -> Path:
        """Where heads' roles are kept."""
        return Path(self.process.environment["XDG_CACHE_HOME"]) / "nanoscope" / "heads"


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    checkpoint = write_flat(tmp_path_factory.mktemp("model"), model=random_model("F", **SIZES)).parent
    with running_daemon(source=str(checkpoint)) as process:
        made = process.call("generate_and_capture", {"prompt": TEXT, **TRACE})
        assert made["prompt_tokens"] == AT + 1
        yield Ground(process, checkpoint, made["trace_id"])


def under_way(client: WireClient) -> None:
    """Wait for the first report of a part that is done: before it come those of the queue."""
    while not client.notification("$/progress")["value"].get("percentage"):
        pass


@pytest.mark.parametrize("method", ["ablation_scan", "why", "scan_heads", "patch_scan"])
def test_a_question_that_is_cancelled_on_its_way_leaves_all_as_it_was(ground: Ground, method: str) -> None:
    with WireClient(ground.process.connect(), "editor") as client:
        client.introduce("asks")
        answers, files = ground.answers(client), ground.files()
        model, _, _ = load(ground.checkpoint)
        assert (ground.kept / f"{fingerprint(model)}.json").exists()
        number = client.send(method, ground.asked(method) | {"workDoneToken": "shown"})
        under_way(client)
        assert client.call("get_status")["queue"]["running"]
        assert client.call("list_traces")["total"] == 1
        client.notify("$/cancelRequest", {"id": number})
        answer = client.answer(number)
        assert answer.get("error", {}).get("data", {}).get("name") == "CANCELLED", answer.keys()
        assert client.notifications[-1]["params"] == {"token": "shown", "value": {"kind": "end"}}
        queue = client.call("get_status")["queue"]
        assert (queue["running"], queue["waiting"]) == (False, 0)
        assert ground.answers(client) == answers
        assert ground.files() == files
    assert "Traceback" not in ground.process.settings.log_file.read_text()


@pytest.mark.parametrize("method", ["ablation_scan", "why", "scan_heads"])
def test_a_script_cancels_by_name_and_is_answered_while_it_waits(ground: Ground, method: str) -> None:
    """Its connection shows no progress of these; that the model is at work it is told."""
    with WireClient(ground.process.connect()) as client:
        client.introduce("script")
        answers, files = ground.answers(client), ground.files()
        client.notifications.clear()
        number = client.send(method, ground.asked(method))
        while not client.notification("status_changed")["queue"]["running"]:
            pass
        assert client.call("get_status")["queue"]["running"]
        assert client.call("cancel", {"id": number}) == {"cancelled": True}
        assert client.answer(number)["error"]["data"]["name"] == "CANCELLED"
        assert (ground.answers(client), ground.files()) == (answers, files)
