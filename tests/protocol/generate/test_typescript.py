import re
from pathlib import Path

import pytest

from protocol.errors import ERRORS
from protocol.generate.typescript import GeneratorMissing, run_tool, type_faults, typescript
from protocol.methods import METHODS, NOTIFICATIONS, PROTOCOL_VERSION

CLIENT = Path(__file__).parent.parent.parent.parent / "vscode-client"

USES = """
import { Methods, Notifications, PROTOCOL_VERSION, REPEATABLE, errorCodes } from "./protocol.js";
export const version: "1" = PROTOCOL_VERSION;
export const again: boolean = REPEATABLE.has("get_tensor");
export const code: -31001 = errorCodes.TRACE_NOT_FOUND;
export const asked: Methods["get_tensor"]["params"] = { trace_id: "t", name: "q", layer: 0, rows: [0, 2] };
export const nothing: Methods["shutdown"]["result"] = null;
export const rows = (page: Methods["list_traces"]["result"]): string[] => page.traces.map((row) => row.trace_id);
export const text = (said: Notifications["generation_progress"]): string => said.top[0]?.text ?? said.text;
"""
MISTAKES = {
    'const a: Methods["get_tensor"]["params"] = { trace_id: "t", name: "q", colour: 1 };': "TS2353",
    'const b: Methods["get_tensor"]["params"] = { trace_id: "t" };': "TS2741",
    'const c: Methods["get_tensor"]["params"] = { trace_id: "t", name: "q", rows: [1] };': "TS2322",
    'const d: Methods["get_tensor"]["params"] = { trace_id: "t", name: "q", encoding: "hex" };': "TS2322",
    'const e: keyof Methods = "get_tensors";': "TS2820",
    'const f = (result: Methods["get_summary"]["result"]): number => result.sizes;': "TS2339",
}


@pytest.fixture(scope="module")
def text():
    return typescript(CLIENT)


@pytest.fixture(scope="module")
def folder(text, tmp_path_factory):
    folder = tmp_path_factory.mktemp("typescript")
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "protocol.ts").write_text(text)
    return folder


def test_the_types_serve_and_every_mistake_is_told(folder):
    lines = [*USES.strip().splitlines(), *MISTAKES, ""]
    (folder / "uses.ts").write_text("\n".join(lines))
    told = re.findall(r"uses\.ts\((\d+),\d+\): error (TS\d+)", type_faults(CLIENT, folder / "uses.ts"))
    first = lines.index(next(iter(MISTAKES))) + 1
    assert told == [(str(line), code) for line, code in enumerate(MISTAKES.values(), first)]


def test_it_has_every_method_notification_and_error(text):
    assert all(re.search(rf'^  "?{re.escape(name)}"?: ', text, re.M) for name in METHODS | NOTIFICATIONS)
    assert all(f"  {row.name}: {row.code},\n" in text for row in ERRORS.values())
    assert f'PROTOCOL_VERSION = "{PROTOCOL_VERSION}"' in text


def test_it_has_what_may_be_asked_again(text):
    (names,) = re.findall(r"^export const REPEATABLE: .*\[\n(.*?)^\]\);$", text, re.M | re.S)
    assert re.findall(r'"(.+)",', names) == [row.name for row in METHODS.values() if row.repeatable]


def test_it_reads_well(text):
    names = re.findall(r"^export (?:interface|type) (\w+)", text, re.M)
    assert len(set(names)) == len(names)
    assert not [name for name in names if re.search(r"\d$|^I[A-Z]", name)]
    assert not re.search(r"\bany\b(?=[;,\[\]|)])", text)
    assert not re.search(r"\bnever\b(?=[;,\[|)])", text)
    params = re.search(r"interface GetTensorParams {(.*?)^}", text, re.M | re.S)
    assert params
    assert "[k: string]" not in params[1]


def test_missing_packages_say_what_to_run(tmp_path):
    with pytest.raises(GeneratorMissing, match=r"json2ts is missing: run `make protocol`, or `npm ci` in "):
        typescript(tmp_path)


def test_a_missing_node_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(GeneratorMissing, match=r"node is missing: install Node\.js"):
        run_tool(CLIENT, "tsc", ("--version",))
