"""`nanoscope export` and `delete`, on a real daemon."""

import json
from pathlib import Path

import numpy as np
import pytest

from daemon.client.sync import Client
from nanochat.trace_storage import TraceStorage
from tests.daemon.commands import Terminal, run


@pytest.mark.usefixtures("daemon")
class TestFiles:
    """export and delete."""

    @pytest.mark.parametrize("to", ["json", "safetensors"])
    def test_exports_are_traces(self, to: str, trace: str, client: Client, tmp_path: Path) -> None:
        target = tmp_path / f"copy.{to}"
        done = run("export", trace, "--to", to, "--out", str(target))
        assert (done.status, done.out) == (0, "")
        with TraceStorage(tmp_path).open_trace("copy") as copy:
            assert np.array_equal(copy.attention(0, 0), client.tensor(trace, "attention_weights", layer=0, head=0))
        again = run("export", trace, "--to", to, "--out", str(target))
        assert (again.status, "is there already" in again.err) == (1, True)
        assert run("export", trace, "--to", to, "--out", str(target), "--force").status == 0

    def test_exports_of_smaller_numbers_and_of_steps(self, trace: str, tmp_path: Path) -> None:
        run("export", trace, "--to", "safetensors", "--save-as", "float16", "--out", str(tmp_path / "a.safetensors"))
        run("export", trace, "--to", "json", "--steps", "--out", str(tmp_path / "b.json"))
        with TraceStorage(tmp_path).open_trace("a") as copy:
            assert copy.infos()["token_embeddings"].dtype == "float16"
        assert len(json.loads((tmp_path / "b.json").read_text())["intermediate_steps"]) == 5
        assert run("export", trace, "--to", "json", "--save-as", "float16").status == 2
        assert run("export", trace, "--to", "safetensors", "--steps").status == 2

    def test_deleting_asks_first(self) -> None:
        doomed = json.loads(run("capture", "Doomed", "-n", "1", "--json").out)["trace_id"]
        assert run("delete", doomed).status == 2
        for key, status in (("\x03", 130), ("n\n", 1), ("y\n", 0)):
            with Terminal("delete", "@1") as terminal:
                terminal.until(lambda shown: "[y/N]" in shown)
                terminal.interrupt() if key == "\x03" else terminal.type(key)
                assert terminal.end() == status
                assert "Doomed" in terminal.plain
            assert (doomed in run("list").out) == bool(status)

    def test_several_go_at_once(self) -> None:
        ids = [json.loads(run("capture", f"Doomed {n}", "-n", "1", "--json").out)["trace_id"] for n in range(2)]
        done = run("delete", *ids, ids[0], "--yes")
        assert (done.status, done.out.split()) == (0, ids)
        assert not {row[0] for row in run("list").rows} & set(ids)
        assert run("delete", ids[0], "--yes").err.startswith(f"error: There is no trace {ids[0]!r}")
