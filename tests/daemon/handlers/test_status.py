"""The protocol as the daemon tells it: what was generated, and the table of metrics."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from daemon import handlers
from daemon.server.dispatch import Context, dispatch
from daemon.server.session import Session
from daemon.server.state import STATUS_SECONDS
from nanochat.analysis import all_metrics, described_metrics
from protocol.types import Metric
from tests.daemon.state_ground import DirectClient, running_hub

handlers.check()
GENERATED = Path(__file__).parents[3] / "protocol" / "openrpc.json"


def discovered() -> dict[str, Any]:
    with ThreadPoolExecutor(1) as readers:
        state: Any = SimpleNamespace(readers=readers, answered=lambda: None)
        session = Session(1, "line", state, msgspec.json.encode)
        return asyncio.run(dispatch(Context(state, session), "rpc.discover"))


def test_it_is_the_generated_document_and_the_metrics() -> None:
    metrics = discovered().pop("x-metrics")
    assert discovered() == json.loads(GENERATED.read_text(encoding="utf-8")) | {"x-metrics": metrics}
    assert metrics == described_metrics()
    assert metrics.keys() == all_metrics().keys()


def test_each_metric_is_as_analyze_trace_has_it() -> None:
    metrics = discovered()["x-metrics"]
    decoded = msgspec.convert(metrics, dict[str, Metric], strict=True)
    assert json.loads(msgspec.json.encode(decoded)) == metrics


def test_a_daemon_that_ends_tells_nothing_of_how_it_is(tmp_path) -> None:
    async def run() -> list[dict[str, Any]]:
        async with running_hub(tmp_path) as state:
            client = DirectClient(state)
            await client.until(lambda: client.notifications("status_changed"))
            state.status_changed()
            state.stopping.set()
            client.told.clear()
            await asyncio.sleep(2 * STATUS_SECONDS)
            return client.told

    assert asyncio.run(run()) == []
