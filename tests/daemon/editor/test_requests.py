"""An editor's requests: as commands, cancelled, many at once."""

from typing import Any

from daemon.editor import connection
from tests.daemon.connections import TRACE, Gate, daemon, echo, error_of, run, session_of


def test_a_method_as_a_command() -> None:
    async def test() -> None:
        async def daemons_own(context: Any, params: Any) -> str:
            return "the daemon ends"

        async with daemon({"get_summary": echo, "shutdown": daemons_own}) as running:
            client = await running.editor()

            async def execute(command: object, *arguments: object) -> Any:
                return await client.call(1, "workspace/executeCommand", {"command": command, "arguments": arguments})

            assert (await execute("nanoscope.get_summary", TRACE))["result"] == TRACE
            assert (await execute("nanoscope.shutdown"))["result"] == "the daemon ends"
            assert error_of(await execute("nanoscope.get_summary")) == (1, -32602, "INVALID_PARAMS")
            assert error_of(await execute("nanoscope.get_summary", TRACE, 2)) == (1, -32602, "INVALID_PARAMS")
            for command in ("get_summary", "nanoscope.nothing", "nanoscope.", None, 5, []):
                assert error_of(await execute(command, TRACE)) == (1, -32602, "INVALID_PARAMS")
            assert error_of(await client.call(1, "workspace/executeCommand")) == (1, -32602, "INVALID_PARAMS")

    run(test)


def test_cancel_ends_a_request_and_others_go_on() -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon({"get_tokens": gate}) as running:
            client = await running.editor()
            client.request(1, "get_tokens", TRACE)
            client.request("1", "get_tokens", TRACE)
            await gate.until(running=2)
            client.notify("$/cancelRequest", {"id": 1})
            assert error_of(await client.receive()) == (1, -32800, "CANCELLED")
            client.notify("$/cancelRequest", {"id": 1})
            gate.opened.set()
            assert (await client.receive())["id"] == "1"
            assert gate.cancelled == 1

    run(test)


def test_a_cancel_in_the_same_breath_as_its_request() -> None:
    async def test() -> None:
        async with daemon({"get_tokens": Gate()}) as running:
            client = await running.editor()
            request = b'{"jsonrpc":"2.0","id":1,"method":"get_tokens","params":{"trace_id":"a"}}'
            cancel = b'{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":1}}'
            client.write(client.frame(request) + client.frame(cancel))
            assert error_of(await client.receive()) == (1, -32800, "CANCELLED")
            assert session_of(running).calls == {}

    run(test)


def test_an_id_in_flight_is_not_taken_twice() -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon({"get_tokens": gate}) as running:
            client = await running.editor()
            client.request(1, "get_tokens", TRACE)
            client.request(1, "nothing")
            assert error_of(await client.receive()) == (1, -32600, "INVALID_REQUEST")
            gate.opened.set()
            assert (await client.receive())["result"] == TRACE
            assert (await client.call(1, "get_tokens", TRACE))["result"] == TRACE

    run(test)


def test_an_editor_with_too_much_in_flight_is_not_read_and_others_are_served() -> None:
    async def test() -> None:
        gate = Gate()
        async with daemon({"get_tokens": gate, "get_summary": echo}) as running:
            client, other = await running.editor(), await running.editor()
            count = connection.IN_FLIGHT_LIMIT * 3
            for number in range(count):
                client.request(number, "get_tokens", {"trace_id": "x" * 200})
            await gate.until(running=connection.IN_FLIGHT_LIMIT)
            assert (await other.call(1, "get_summary", TRACE))["result"] == TRACE
            gate.opened.set()
            assert {(await client.receive())["id"] for _ in range(count)} == set(range(count))
            gate.opened.clear()
            for number in range(count):
                client.request(number, "get_tokens", TRACE)
            await gate.until(running=connection.IN_FLIGHT_LIMIT)
            await client.close()
            await running.sessions(1)
            await gate.until(running=0)
            assert gate.most == connection.IN_FLIGHT_LIMIT

    run(test)
