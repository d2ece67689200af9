import json
import re

import pytest

from protocol.errors import ERRORS
from protocol.generate.examples import examples_of
from protocol.generate.page import page
from protocol.generate.schemas import schemas
from protocol.methods import METHODS, NOTIFICATIONS


@pytest.fixture(scope="module")
def text():
    return page()


def sections(text):
    return dict(re.findall(r"^### (\S+)\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL))


def test_every_method_and_notification_has_its_section_with_all_its_params(text):
    found = sections(text)
    for row in (*METHODS.values(), *NOTIFICATIONS.values()):
        assert all(f"| `{name}` |" in found[row.name] for name in row.params.__struct_fields__)
        assert row.summary in found[row.name]
        assert all(re.search(rf"[*>]{re.escape(example['note'])}[*<]", found[row.name]) for example in examples_of(row))


def test_every_field_of_every_type_is_there(text):
    _, named = schemas("#/{name}")
    for kind, schema in named.items():
        assert schema["description"].splitlines()[0] in text or not schema["properties"], kind
        assert all(f"| `{name}` |" in text for name in schema["properties"])


def test_every_error_is_there_with_its_number(text):
    assert all(f"| {row.code} | `{row.name}` | {row.meaning}" in text for row in ERRORS.values())


def test_a_method_names_its_errors(text):
    found = sections(text)
    assert all(f"`{name}`" in found[row.name] for row in METHODS.values() for name in row.errors)


def test_examples_are_json(text):
    decoder = json.JSONDecoder()
    blocks = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == sum(len(examples_of(row)) for row in (*METHODS.values(), *NOTIFICATIONS.values()))
    for block in blocks:
        rest = block
        while rest.strip():
            value, end = decoder.raw_decode(rest)
            rest = rest[end:].lstrip()
            assert value.keys() & {"method", "result", "error"}


def test_links_lead_to_headings(text):
    headings = {heading.lower().replace(".", "").replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", text, re.M)}
    links = set(re.findall(r"\]\(#([^)]+)\)", text))
    assert links <= headings
    assert len(links) > 20


def test_a_bar_does_not_break_a_table(text):
    assert "`<\\|bos\\|>`" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) in (3, 4, 5) for line in rows)
