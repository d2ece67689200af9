import base64
import contextlib
import copyreg
import io
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from nanochat import tokenizer_files
from nanochat.errors import PromptInvalidError, TokenizerInvalidError
from nanochat.tokenizer import SPECIAL_TOKENS, SPLIT_PATTERN, RustBPETokenizer
from tests.checkpoints import TOKENIZER, Bomb, write_tokenizer

TOKENS = RustBPETokenizer.from_directory(TOKENIZER)
STATE: dict[str, Any] = TOKENS.enc.__getstate__()  # type: ignore[assignment]


def ids(*parts):
    """Token ids of special tokens' short names and of texts, the latter in a tuple."""
    made = []
    for part in parts:
        made += TOKENS.encode(part[0]) if isinstance(part, tuple) else [TOKENS.encode_special(f"<|{part}|>")]
    return made


def trained(rendered):
    """The text that a rendering trains on."""
    tokens, mask = rendered
    assert len(tokens) == len(mask) and set(mask) <= {0, 1}
    return TOKENS.decode([token for token, bit in zip(tokens, mask, strict=True) if bit])


def chat(*contents, system=None):
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": content} for i, content in enumerate(contents)]
    return {"messages": ([] if system is None else [{"role": "system", "content": system}]) + messages}


# texts and ids


@given(st.text())
def test_text_comes_back(text):
    assert TOKENS.decode(TOKENS.encode(text)) == text


@given(st.lists(st.text(), max_size=5))
def test_texts_are_encoded_alike_alone_and_together(texts):
    assert TOKENS.encode(texts, prepend="<|bos|>", num_threads=2) == [TOKENS.encode(t, "<|bos|>") for t in texts]


def test_ids_are_put_around():
    bos, end = TOKENS.get_bos_token_id(), TOKENS.encode_special("<|assistant_end|>")
    assert TOKENS.encode("hi", prepend=bos, append="<|assistant_end|>") == [bos, *TOKENS.encode("hi"), end]
    assert TOKENS("hi") == TOKENS.encode("hi")
    assert TOKENS.encode("", prepend=0) == [0]


def test_special_tokens_in_a_text_are_ordinary():
    special = {TOKENS.encode_special(name) for name in SPECIAL_TOKENS}
    for name in SPECIAL_TOKENS:
        assert not special & set(TOKENS.encode(f"a{name}b"))
        assert TOKENS.decode([TOKENS.encode_special(name)]) == name


def test_sizes_and_names():
    assert TOKENS.get_vocab_size() == 300
    assert TOKENS.get_special_tokens() == set(SPECIAL_TOKENS)
    assert TOKENS.get_bos_token_id() == TOKENS.encode_special("<|bos|>") == 291
    assert TOKENS.id_to_token(TOKENS.encode("e")[0]) == "e"
    assert TOKENS.decode_single_token_bytes(TOKENS.encode("e")[0]) == b"e"


def test_lone_surrogates_do_no_harm():
    assert TOKENS.decode(TOKENS.encode("a\ud800b")) == "a\ufffdb"


@pytest.mark.parametrize("text", [None, 5, b"a", ("a",)])
def test_what_is_no_text(text):
    with pytest.raises(ValueError, match="expected a text"):
        TOKENS.encode(text)


def test_a_text_that_tiktoken_cannot_split_is_an_error_and_no_panic():
    with pytest.raises(PromptInvalidError, match="cannot be split into tokens; shorten its runs of blanks"):
        TOKENS.encode(" " * 1_000_000)
    assert TOKENS.encode("after") != []


def test_other_interruptions_pass_through():
    with pytest.raises(KeyboardInterrupt), tokenizer_files.panics_as(PromptInvalidError, "no"):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a", ["a"]), ("é", [r"\xc3", r"\xa9"]), ("€", [r"\xe2", r"\x82", r"\xac"]), ("\n", ["\n"]), ("\\", ["\\"])],
)
def test_a_token_that_is_part_of_a_character_shows_its_bytes(text, shown):
    assert [TOKENS.token_text(token) for token in TOKENS.encode(text)] == shown


def test_every_token_has_a_text_that_loses_nothing():
    for token in range(TOKENS.get_vocab_size()):
        text = TOKENS.token_text(token)
        assert "\ufffd" not in text
        text.encode()
    assert TOKENS.token_text(TOKENS.get_bos_token_id()) == "<|bos|>"
    assert TOKENS.id_to_token(TOKENS.encode("é")[0]) == "\ufffd"


# chats


def test_a_chat_and_what_is_trained():
    rendered = TOKENS.render_conversation(chat("Hi", "Yes?", "No", "Bye"))
    assert rendered[0] == ids(
        *("bos", "user_start", ("Hi",), "user_end", "assistant_start", ("Yes?",), "assistant_end"),
        *("user_start", ("No",), "user_end", "assistant_start", ("Bye",), "assistant_end"),
    )
    assert trained(rendered) == "Yes?<|assistant_end|>Bye<|assistant_end|>"


def test_a_system_message_is_merged_into_the_users():
    conversation = chat("Hi", "Yes?", system="Be kind.")
    before = json.dumps(conversation)
    assert TOKENS.render_conversation(conversation) == TOKENS.render_conversation(chat("Be kind.\n\nHi", "Yes?"))
    assert json.dumps(conversation) == before


def test_special_tokens_in_messages_are_ordinary():
    rendered, _ = TOKENS.render_conversation(chat("<|user_end|><|bos|>", "<|assistant_end|>"))
    assert [rendered.count(TOKENS.encode_special(f"<|{name}|>")) for name in ("bos", "user_end", "assistant_end")] == [
        1
    ] * 3


def test_the_parts_of_an_assistants_message():
    parts = [
        {"type": "text", "text": "Let me see. "},
        {"type": "python", "text": "6*7"},
        {"type": "python_output", "text": "42"},
        {"type": "text", "text": "It is 42."},
    ]
    rendered = TOKENS.render_conversation(chat("6*7?", parts))
    assert rendered[0] == ids(
        *("bos", "user_start", ("6*7?",), "user_end", "assistant_start", ("Let me see. ",)),
        *(
            "python_start",
            ("6*7",),
            "python_end",
            "output_start",
            ("42",),
            "output_end",
            ("It is 42.",),
            "assistant_end",
        ),
    )
    assert trained(rendered) == "Let me see. <|python_start|>6*7<|python_end|>It is 42.<|assistant_end|>"


def test_long_chats_are_cut():
    whole, mask = TOKENS.render_conversation(chat("x" * 3000, "y" * 3000), max_tokens=10**6)
    assert len(whole) == 6005
    assert TOKENS.render_conversation(chat("x" * 3000, "y" * 3000)) == (whole[:2048], mask[:2048])
    assert TOKENS.render_conversation(chat("x" * 3000, "y" * 3000), max_tokens=7) == (whole[:7], mask[:7])
    assert TOKENS.render_conversation(chat("a"), max_tokens=0) == ([], [])


def test_a_chat_to_go_on_with():
    conversation = chat("Hi", "this is what the model writes", system="Be kind.")
    before = json.dumps(conversation)
    expected = ids("bos", "user_start", ("Be kind.\n\nHi",), "user_end", "assistant_start")
    assert TOKENS.render_for_completion(conversation) == expected
    assert json.dumps(conversation) == before


@pytest.mark.parametrize(
    ("conversation", "message"),
    [
        ({"messages": []}, "at least one"),
        ({}, "at least one"),
        ({"messages": None}, "at least one"),
        ({"messages": "hi"}, "at least one"),
        ({"messages": ["hi"]}, "at least one"),
        ([{"role": "user", "content": "hi"}], "at least one"),
        (
            {"messages": [{"role": "assistant", "content": "hi"}]},
            "Message 0 is from 'assistant' and should be from 'user'",
        ),
        ({"messages": [{"role": "user", "content": "a"}] * 2}, "Message 1 is from 'user'"),
        ({"messages": [{"content": "hi"}]}, "Message 0 is from None"),
        ({"messages": [{"role": "user"}]}, "content of a user message must be text, not NoneType"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}, "must be text, not list"),
        ({"messages": [{"role": "system", "content": "a"}]}, "followed by a user message"),
        (
            {"messages": [{"role": "system", "content": "a"}, {"role": "assistant", "content": "b"}]},
            "followed by a user",
        ),
        ({"messages": [{"role": "system"}, {"role": "user", "content": "b"}]}, "system message .* must be text"),
        ({"messages": [{"role": "system", "content": "a"}, {"role": "user", "content": ["b"]}]}, "must be text"),
        (chat("a", 5), "content of a assistant message must be text, not int|content of an assistant"),
        (chat("a", ["b"]), "text, python, python_output"),
        (chat("a", [{"type": "text"}]), "text, python, python_output"),
        (chat("a", [{"type": "image", "text": "b"}]), "text, python, python_output"),
        (chat("a", [{"type": ["text"], "text": "b"}]), "text, python, python_output"),
        (chat("a", [{"type": "text", "text": b"b"}]), "text, python, python_output"),
    ],
)
def test_chats_that_cannot_be_rendered(conversation, message):
    with pytest.raises(PromptInvalidError, match=message):
        TOKENS.render_conversation(conversation)


@pytest.mark.parametrize("conversation", [chat("Hi"), {"messages": []}, {}, {"messages": [5]}, chat("a", "b", "c")])
def test_chats_that_cannot_be_gone_on_with(conversation):
    with pytest.raises(PromptInvalidError):
        TOKENS.render_for_completion(conversation)


def test_a_picture_of_a_rendering():
    tokens, mask = ids("bos", ("a",)), [0, 1]
    assert TOKENS.visualize_tokenization(tokens, mask) == "\033[91m<|bos|>\033[0m|\033[92ma\033[0m"
    assert "\033[90m(291)\033[0m" in TOKENS.visualize_tokenization(tokens, mask, with_token_id=True)


# files


def test_both_forms_on_disk_give_the_same_tokenizer(tmp_path):
    (tmp_path / "text").mkdir()
    TOKENS.save(tmp_path / "new" / "pickle")
    TOKENS.save_text(tmp_path / "text")
    for folder in (tmp_path / "new" / "pickle", tmp_path / "text"):
        assert RustBPETokenizer.from_directory(str(folder)).enc.__getstate__() == STATE
    assert pickle.loads((tmp_path / "new" / "pickle" / "tokenizer.pkl").read_bytes()).__getstate__() == STATE


def test_the_text_form_is_json(tmp_path):
    TOKENS.save_text(tmp_path)
    text = (tmp_path / "tokenizer.json").read_text(encoding="utf-8")
    assert text.endswith("\n")
    assert base64.b64decode(json.loads(text)["mergeable_ranks"][65]) == b"A"


def test_the_pickle_is_read_where_there_are_both(tmp_path):
    write_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("of some other library", encoding="utf-8")
    assert RustBPETokenizer.from_directory(tmp_path).get_vocab_size() == 300


def test_no_tokenizer(tmp_path):
    with pytest.raises(TokenizerInvalidError, match=r"There is no tokenizer.pkl in .*: copy"):
        RustBPETokenizer.from_directory(tmp_path)


def test_training_makes_one(tmp_path):
    made = RustBPETokenizer.train_from_iterator(["the cat sat on the mat " * 20], 270)
    assert made.get_vocab_size() == 270
    assert made.decode(made.encode("the cat ¿?")) == "the cat ¿?"
    made.save(tmp_path)
    assert RustBPETokenizer.from_directory(tmp_path).enc.__getstate__() == made.enc.__getstate__()
    with pytest.raises(ValueError, match="at least 265"):
        RustBPETokenizer.train_from_iterator(["a"], 264)


class Calls:
    """Pickled, it calls a function."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced

    def __call__(self):
        """What a call gives may be called in turn; pickle asks for no more than that."""


class EncodingPickler(pickle.Pickler):
    """Pickles an Encoding with any state."""

    def __init__(self, file, state):
        super().__init__(file)
        self.state = state

    def reducer_override(self, obj):
        if isinstance(obj, tiktoken.Encoding):
            return copyreg.__newobj__, (tiktoken.Encoding,), self.state  # type: ignore[attr-defined]
        return NotImplemented


def pickled(state):
    file = io.BytesIO()
    EncodingPickler(file, state).dump(TOKENS.enc)
    return file.getvalue()


def bombs(target):
    """Pickles that create a file, each in another way."""
    touch, create = Bomb(target), f"open({str(target)!r}, 'w').close()"
    path = str(target).encode()
    return {
        "a call": pickle.dumps(touch),
        "os.system": pickle.dumps(Calls(os.system, f"touch {target}")),
        "builtins.eval": pickle.dumps(Calls(eval, create)),
        "builtins.exec": pickle.dumps(Calls(exec, create)),
        "subprocess": pickle.dumps(Calls(subprocess.check_output, ["touch", str(target)])),
        "a call of what a call gave": pickle.dumps(Calls(Calls(getattr, target, "touch"))),
        "a call deep in data": pickle.dumps({"name": [({"x": touch},)]}),
        "a call before the Encoding": pickle.dumps((touch, TOKENS.enc)),
        "a call in an Encoding's state": pickled(STATE | {"name": touch}),
        "a call instead of a state": pickled(touch),
        "a call among the tokens": pickled(STATE | {"mergeable_ranks": STATE["mergeable_ranks"] | {b"zzz": touch}}),
        "protocol 0": pickle.dumps(touch, protocol=0),
        "protocol 2": pickle.dumps(touch, protocol=2),
        "opcode REDUCE": b"cos\nsystem\n(S'touch " + path + b"'\ntR.",
        "opcode INST": b"(S'touch " + path + b"'\nios\nsystem\n.",
        "opcode OBJ": b"(cos\nsystem\nS'touch " + path + b"'\no.",
    }


@pytest.mark.parametrize("name", bombs(Path("x")))
def test_nothing_in_a_pickle_is_run(tmp_path, name):
    target = tmp_path / "ran"
    content = bombs(target)[name]
    with contextlib.suppress(Exception):
        pickle.loads(content)
    assert target.exists(), "this pickle runs nothing, so the test would show nothing"
    target.unlink()
    (tmp_path / "tokenizer.pkl").write_bytes(content)
    with pytest.raises(TokenizerInvalidError, match=r"is not a nanochat tokenizer .*; nothing in it was run\. Copy"):
        RustBPETokenizer.from_directory(tmp_path)
    assert not target.exists()


@pytest.mark.parametrize("content", [b"", b"\x80\x04", b"\x80\x04.", b"0", b"x"])
def test_an_error_without_words_is_named(tmp_path, content):
    (tmp_path / "tokenizer.pkl").write_bytes(content)
    with pytest.raises(TokenizerInvalidError, match=r"is not a nanochat tokenizer \([^)]+\); nothing in it was run"):
        RustBPETokenizer.from_directory(tmp_path)


def test_registered_calls_are_not_run_either(tmp_path):
    copyreg.add_extension("os", "getcwd", 200)
    try:
        content = b"\x80\x02\x82\xc8)R."  # EXT1 200, called with ()
        assert pickle.loads(content) == os.getcwd()
        (tmp_path / "tokenizer.pkl").write_bytes(content)
        with pytest.raises(TokenizerInvalidError, match="nothing in it was run"):
            RustBPETokenizer.from_directory(tmp_path)
    finally:
        copyreg.remove_extension("os", "getcwd", 200)


NO_TOKENIZERS = {
    "nothing": b"",
    "a text": b"hello",
    "json": b"{}",
    "no stop": pickle.dumps(TOKENS.enc)[:-1],
    "a dict": pickle.dumps(STATE),
    "a text's pickle": pickle.dumps("rustbpe"),
    "the class": pickle.dumps(tiktoken.Encoding),
    "a state for the class": b"\x80\x04\x8c\x0dtiktoken.core\x8c\x08Encoding\x93}b.",
    "no state": b"\x80\x04\x8c\x0dtiktoken.core\x8c\x08Encoding\x93)\x81.",
    "a state for a text": b"\x80\x04\x8c\x01x}b.",
    "an object of a text": b"\x80\x04\x8c\x01x)\x81.",
    "a persistent id": b"\x80\x04\x8c\x01xQ.",
    "an unknown opcode": b"\x80\x04\xff.",
    "a newer protocol": b"\x80\x63N.",
    "a stack that is empty": b"\x80\x04.",
    "a mark that is missing": b"\x80\x04}u.",
    "a memo that is missing": b"\x80\x04h\x07.",
    "bytes that are missing": b"\x80\x04B\xff\xff\xff\x7f.",
    "a frame that is missing": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
    "a text that is not UTF-8": b"\x80\x04\x8c\x01\xff.",
    "a dict as a key": b"\x80\x04}}}s.",
    "another class": pickle.dumps(Path("x")),
    "another class with a tokenizer's state": pickle.dumps(TOKENS.enc).replace(b"tiktoken.core", b"tiktoken.cora"),
}


@pytest.mark.parametrize("name", NO_TOKENIZERS)
def test_what_is_no_tokenizer(tmp_path, name):
    (tmp_path / "tokenizer.pkl").write_bytes(NO_TOKENIZERS[name])
    with pytest.raises(
        TokenizerInvalidError, match=r"not a nanochat tokenizer|not a usable tokenizer: it holds no state"
    ):
        RustBPETokenizer.from_directory(tmp_path)


@pytest.mark.parametrize("cut", range(0, 2250, 97))
def test_part_of_a_tokenizer(tmp_path, cut):
    whole = (TOKENIZER / "tokenizer.pkl").read_bytes()
    (tmp_path / "tokenizer.pkl").write_bytes(whole[:cut])
    with pytest.raises(TokenizerInvalidError, match="not a nanochat tokenizer"):
        RustBPETokenizer.from_directory(tmp_path)


def memory_taken(folder):
    """Read a bad tokenizer in a process of its own; returns how many MiB that took at most."""
    code = (
        "import resource, sys; from nanochat.errors import TokenizerInvalidError; "
        "from nanochat.tokenizer import RustBPETokenizer\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: RustBPETokenizer.from_directory(sys.argv[1])\n"
        "except TokenizerInvalidError: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before >> 10)"
    )
    command = [sys.executable, "-c", code, str(folder)]
    return int(subprocess.check_output(command, cwd=Path(__file__).parents[2], timeout=60))


@pytest.mark.parametrize(
    "content",
    [b"\x80\x04Nr\xff\xff\xff\x07.", b"\x80\x04\x8e" + (1 << 30).to_bytes(8, "little") + b"."],
    ids=["a place in the memo far out", "a long text that is not there"],
)
def test_a_few_bytes_do_not_take_gigabytes(tmp_path, content):
    (tmp_path / "tokenizer.pkl").write_bytes(content)
    assert memory_taken(tmp_path) < 100


def test_numbers_that_nest_do_not_take_hours(tmp_path):
    shared = b"".join(b"\x94h" + bytes([i]) + b"\x86" for i in range(60))  # each tuple holds the one before it twice
    (tmp_path / "tokenizer.pkl").write_bytes(b"\x80\x04})" + shared + b"Ns.")
    with pytest.raises(TokenizerInvalidError, match="which no tokenizer needs"):
        RustBPETokenizer.from_directory(tmp_path)


@pytest.mark.parametrize("name", ["tokenizer.pkl", "tokenizer.json"])
def test_files_too_large_for_a_tokenizer(tmp_path, monkeypatch, name):
    TOKENS.save(tmp_path) if name.endswith("pkl") else TOKENS.save_text(tmp_path)
    size = (tmp_path / name).stat().st_size
    monkeypatch.setattr(tokenizer_files, "MAX_FILE_BYTES", size)
    assert RustBPETokenizer.from_directory(tmp_path).get_vocab_size() == 300
    monkeypatch.setattr(tokenizer_files, "MAX_FILE_BYTES", size - 1)
    with pytest.raises(TokenizerInvalidError, match="larger than any tokenizer"):
        RustBPETokenizer.from_directory(tmp_path)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(TokenizerInvalidError, match="cannot be read: No such file"):
        tokenizer_files.read_pickled_state(tmp_path / "tokenizer.pkl")
    with pytest.raises(TokenizerInvalidError, match="cannot be read: Is a directory"):
        tokenizer_files.read_text_state(tmp_path)


def changed(**fields):
    """A state with fields replaced; None takes one away."""
    return {key: value for key, value in (STATE | fields).items() if value is not None}


def without(table, *keys):
    return {key: value for key, value in STATE[table].items() if key not in keys}


RANKS, SPECIAL = STATE["mergeable_ranks"], STATE["special_tokens"]
BAD_STATES = [
    (changed(name=None), "its name is not a str"),
    (changed(name=5), "its name is not a str"),
    (changed(pat_str=None), "its pat_str is not a str"),
    (changed(pat_str=b"x"), "its pat_str is not a str"),
    (changed(mergeable_ranks=None), "its mergeable_ranks is not a dict"),
    (changed(mergeable_ranks="x"), "its mergeable_ranks is not a dict"),
    (changed(special_tokens=None), "its special_tokens is not a dict"),
    (changed(special_tokens=1), "its special_tokens is not a dict"),
    ("cl100k_base", "it holds no state"),
    (5, "it holds no state"),
    (changed(mergeable_ranks=RANKS | {"text": 300}), "its mergeable_ranks are not bytes and ranks"),
    (changed(mergeable_ranks=RANKS | {b"zz": "300"}), "its mergeable_ranks are not bytes and ranks"),
    (changed(mergeable_ranks=RANKS | {b"zz": {}}), "its mergeable_ranks are not bytes and ranks"),
    (changed(special_tokens=SPECIAL | {b"x": 300}), "its special_tokens are not names and ids"),
    (changed(special_tokens=SPECIAL | {"x": "300"}), "its special_tokens are not names and ids"),
    (changed(mergeable_ranks=RANKS | {b"zz": 5}), "its token ids are not 0 to n-1, each once"),
    (changed(mergeable_ranks=RANKS | {b"zz": 299}), "its token ids are not 0 to n-1, each once"),
    (changed(mergeable_ranks=RANKS | {b"zz": 301}), "its token ids are not 0 to n-1, each once"),
    (changed(mergeable_ranks=RANKS | {b"zz": -1}), "its token ids are not 0 to n-1, each once"),
    (changed(mergeable_ranks={}, special_tokens={}), r"the special token <\|bos\|> is missing"),
    (changed(special_tokens=without("special_tokens", "<|output_end|>")), r"<\|output_end\|> is missing"),
    (changed(mergeable_ranks=without("mergeable_ranks", b"A") | {b"zz": RANKS[b"A"]}), "it cannot encode every byte"),
    (changed(pat_str=""), "its pattern fails"),
    (changed(pat_str="(?=H)"), "its pattern fails"),
    (changed(pat_str="("), "not a usable tokenizer: .*parenthesis"),
    (changed(pat_str=r"\p{Nope}"), "not a usable tokenizer: .*pattern"),
    (changed(pat_str=r"(\w{1000}){1000}"), "not a usable tokenizer: .*regex"),
    (changed(pat_str=r"\w+"), "its pattern loses text"),
    (changed(pat_str=r"\S+| |\r|\n"), "its pattern loses text"),
]


@pytest.mark.parametrize(("state", "message"), BAD_STATES)
def test_states_that_make_no_tokenizer(tmp_path, state, message):
    (tmp_path / "tokenizer.pkl").write_bytes(pickled(state))
    with pytest.raises(TokenizerInvalidError, match=message):
        RustBPETokenizer.from_directory(tmp_path)


def test_the_last_special_token_may_be_one_more(tmp_path):
    (tmp_path / "tokenizer.pkl").write_bytes(pickled(changed(special_tokens=SPECIAL | {"<|mine|>": 300})))
    assert RustBPETokenizer.from_directory(tmp_path).encode_special("<|mine|>") == 300


TEXT_TOKENS = [base64.b64encode(token).decode() for token in sorted(RANKS, key=RANKS.__getitem__)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a tokenizer as nanoscope writes it"),
        (b"{", "not a tokenizer as nanoscope writes it"),
        (b"[]", "not a tokenizer as nanoscope writes it"),
        (b"5", "not a tokenizer as nanoscope writes it"),
        (b"{}", "not a tokenizer as nanoscope writes it"),
        (b"\xff\xfe\xff", "not a tokenizer as nanoscope writes it"),
        (b"[" * 100_000, "not a tokenizer as nanoscope writes it"),
        (json.dumps(changed(mergeable_ranks=5)), "not a tokenizer as nanoscope writes it"),
        (json.dumps(changed(mergeable_ranks=[5])), "not a tokenizer as nanoscope writes it"),
        (json.dumps(changed(mergeable_ranks=["*"])), "not a tokenizer as nanoscope writes it"),
        (json.dumps(changed(mergeable_ranks=[*TEXT_TOKENS, "QQ=="])), "not 0 to n-1, each once"),
        (json.dumps(changed(mergeable_ranks=TEXT_TOKENS[1:])), "not 0 to n-1, each once"),
        (json.dumps(changed(mergeable_ranks=TEXT_TOKENS, pat_str=5)), "its pat_str is not a str"),
        (json.dumps(changed(mergeable_ranks=TEXT_TOKENS, special_tokens=["<|bos|>"])), "special_tokens is not a dict"),
    ],
)
def test_text_forms_that_make_no_tokenizer(tmp_path, content, message):
    (tmp_path / "tokenizer.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(TokenizerInvalidError, match=message):
        RustBPETokenizer.from_directory(tmp_path)


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?=(x+x+)+y)z|[\s\S]",
        r"a*+(?=b)c|[\s\S]",
        r"(?:(?=a)(a+)+)+b|[\s\S]",
        r"\s+(?=q)|[\s\S]",
        "x" * 3000 + r"|[\s\S]",
    ],
)
def test_a_pattern_that_could_keep_a_thread_busy_for_hours_is_refused(tmp_path, pattern):
    with pytest.raises(TokenizerInvalidError, match=r"its pattern (takes too long|fails|has over)"):
        tokenizer_files.encoding_from_state(changed(pat_str=pattern), tmp_path)


@pytest.mark.parametrize("pattern", [r"\w+|\W", r"\p{L}+|\p{N}{1,3}|[^\p{L}\p{N}]+", r"[\s\S]"])
def test_other_patterns_are_taken(tmp_path, pattern):
    assert tokenizer_files.encoding_from_state(changed(pat_str=pattern), tmp_path).decode([0])


def test_the_pattern_is_nanochats():
    assert tokenizer_files.KNOWN_PATTERNS[0] == SPLIT_PATTERN
    assert STATE["pat_str"] == SPLIT_PATTERN
    assert [SPECIAL[name] for name in SPECIAL_TOKENS] == list(range(291, 300))
