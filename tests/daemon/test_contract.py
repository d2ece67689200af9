"""The golden examples on both kinds of connection and all three ways in: the same results and errors everywhere."""

import contextlib
import itertools
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from daemon.launch.dial import connect_tcp, connect_unix
from protocol.generate.examples import examples_of
from protocol.methods import METHODS, NOTIFICATIONS
from scripts.golden_exchanges import CLIENT_NAME, PUSHED, differences, make_scene, play
from tests.daemon.waiting import until
from tests.stress.ground import ROOT, Ground, ground
from tests.stress.wire_client import FRAMINGS, WireClient

WAYS = ("unix", "tcp", "stdio")
EVERYWHERE = [f"{framing} {way}" for framing, way in itertools.product(FRAMINGS, WAYS)]


@contextlib.contextmanager
def pump(here: Ground) -> Iterator[socket.socket]:
    """`nanoscope stdio`, its stdin and stdout as one socket."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "daemon", "stdio"]
    with theirs:
        end = theirs.fileno()
        process = subprocess.Popen(command, env=here.environment, cwd=ROOT, stdin=end, stdout=end)
    with process:
        yield ours
        ours.close()
        assert process.wait(10) == 0


@contextlib.contextmanager
def connected(here: Ground, framing: str, way: str) -> Iterator[WireClient]:
    """A client that has said who it is, come in by a way and with a framing."""
    here.connect().close()
    with contextlib.ExitStack() as stack:
        if way == "stdio":
            connection = stack.enter_context(pump(here))
        else:
            connection = (connect_tcp if way == "tcp" else connect_unix)(here.run_folder)
        with WireClient(connection, framing) as client:
            client.introduce(CLIENT_NAME)
            yield client
            with contextlib.suppress(OSError):  # where it has ended the daemon
                if framing == "editor":
                    client.call("shutdown", None)
                    client.notify("exit", None)
                else:  # who hangs up with something unread has not heard all
                    client.connection.shutdown(socket.SHUT_WR)
                    while client.connection.recv(65536):
                        pass


@contextlib.contextmanager
def own_daemon() -> Iterator[Ground]:
    with ground(tcp="true") as here:
        yield here


@pytest.fixture(scope="module")
def here():
    with own_daemon() as here:
        with connected(here, "line", "unix") as client:  # the examples are of a daemon that holds its model
            until(lambda: client.call("get_status", {})["model"]["state"] == "ready", "the model is not loaded")
        yield here


@pytest.fixture(scope="module", params=EVERYWHERE)
def client(here, request):
    with connected(here, *request.param.split()) as client:
        yield client


@pytest.mark.parametrize("method", [name for name in METHODS if name != "shutdown"])
def test_a_methods_examples(client, here, method, request):
    scene = make_scene(request.node.name, here.folder, here.settings.log_file)
    client.call("hello", {"client_name": CLIENT_NAME, "traces_dir": str(scene.traces)})
    client.notifications.clear()
    for example in examples_of(METHODS[method]):
        answered = play(client, scene, method, example)
        expected = {key: example[key] for key in ("result", "error") if key in example}
        assert differences(expected, answered) == [], example["note"]
        for name, row in PUSHED.items():
            if (row.method, row.example) == (method, example["note"]):
                (pushed,) = examples_of(NOTIFICATIONS[name])
                assert differences(pushed["params"], row.wait(client, scene)) == [], name


@pytest.mark.parametrize("place", EVERYWHERE)
def test_the_examples_of_shutdown(place):
    with own_daemon() as here, connected(here, *place.split()) as client, here.client(name="bystander") as bystander:
        client.notification("status_changed", sessions=2)
        scene = make_scene("shutdown", here.folder, here.settings.log_file)
        for example in examples_of(METHODS["shutdown"]):
            expected = {key: example[key] for key in ("result", "error") if key in example}
            assert differences(expected, play(client, scene, "shutdown", example)) == [], example["note"]
        with pytest.raises(ConnectionError):
            bystander.notification("hears nothing more")


def test_every_notification_is_an_example():
    assert PUSHED.keys() == NOTIFICATIONS.keys()
