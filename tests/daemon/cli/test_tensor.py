"""`nanoscope tensor`, on a real daemon."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from rich.cells import cell_len

from daemon.client.sync import Client
from protocol.types import GetTensorResult
from tests.daemon.commands import in_terminal, run


@pytest.mark.usefixtures("daemon")
class TestTensor:
    """What `tensor` prints and saves."""

    HEAD = ("attention_weights", "--layer", "2", "--head", "1")

    def test_a_pipe_gets_every_bit(self, client: Client, trace: str) -> None:
        weights = client.tensor(trace, "attention_weights", layer=2, head=1)
        printed = np.array([[np.float32(cell) for cell in row] for row in run("tensor", trace, *self.HEAD).rows])
        assert np.array_equal(printed, weights)
        part = run("tensor", trace, *self.HEAD, "--rows", "2:4", "--columns", ":3").rows
        assert np.array_equal(np.array(part, np.float32), weights[2:4, :3])

    def test_json_is_the_result(self, client: Client, trace: str) -> None:
        result = msgspec.json.decode(run("tensor", trace, *self.HEAD, "--json").out, type=GetTensorResult)
        assert np.array_equal(np.float32(result.data), client.tensor(trace, "attention_weights", layer=2, head=1))  # type: ignore[arg-type]

    def test_a_file_for_numpy(self, client: Client, trace: str, tmp_path: Path) -> None:
        path = tmp_path / "logits.npy"
        done = run("tensor", trace, "output_logits", "--out", str(path))
        assert (done.status, done.out) == (0, "")
        assert np.array_equal(np.load(path), client.tensor(trace, "output_logits"))
        assert run("tensor", trace, "output_logits", "--out", str(tmp_path)).err.startswith("error: ")

    def test_one_step(self, trace: str) -> None:
        assert len(run("tensor", trace, "attention_weights.layer_0", "--step", "1", "--head", "0").rows) == 1

    def test_a_terminal_gets_what_fits(self, trace: str) -> None:
        done = in_terminal("tensor", trace, "output_logits")
        assert "1 × 5 × 1024 of float32" in done.out
        assert "..." in done.out
        assert max(map(cell_len, done.out.splitlines())) <= 80

    def test_misuse_and_errors(self, trace: str) -> None:
        assert "--rows: '3' is not A:B" in run("tensor", trace, *self.HEAD, "--rows", "3").misuse
        nothing = run("tensor", trace, "nothing")
        assert (nothing.status, nothing.err.startswith("error: ")) == (1, True)
