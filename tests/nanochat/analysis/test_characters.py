"""Which tokens share a character, and how each is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat.analysis.characters import Piece, labels, pieces


def spelled(raw: bytes) -> str:
    """A token's text as traces have it."""
    return raw.decode("utf-8", "backslashreplace")


@pytest.mark.parametrize(
    ("texts", "shared"),
    [
        (["a", "\\xf0\\x9f", "\\x98", "\\x80", " b"], {1: "😀", 2: "😀", 3: "😀"}),
        (["a\\xc3", "\\xa9\\xc3", "\\xa9!", "z"], {0: "aéé!", 1: "aéé!", 2: "aéé!"}),
        (["\\xf0\\x9f", "\\xc3", "\\xa9"], {1: "é", 2: "é"}),  # what was begun is no character
        (["\\xe9lit", "\\xc3", "\\xa9"], {1: "é", 2: "é"}),
        (["\\xf0\\x9f", "x"], {}),
        (["\\x80", "\\x80"], {}),
        (["\\xc3"], {}),
        (["\\xc3", "<|user_end|>", "\\xa9"], {}),
        (["\\xc3\\xa9"], {}),  # it is not how that character is spelled: these are eight characters
        (["é", "", "\\n"], {}),
        ([], {}),
    ],
)
def test_tokens_that_share_a_character(texts, shared):
    assert {at: piece.text for at, piece in enumerate(pieces(texts)) if piece} == shared


def test_each_has_its_place():
    assert pieces(["\\xe2", "\\x82", "\\xac"]) == [Piece("€", index, 3) for index in range(3)]
    assert labels([" \\xc3", "\\xa9", " \n", "x"]) == ["·é₁", "·é₂", "·↵", "x"]


def test_what_cannot_be_seen_has_a_name_and_pictures_stay_whole():
    family, thumb = "\U0001f469\u200d\U0001f469\u200d\U0001f467", "\U0001f44d\U0001f3fd"
    assert labels([" \\xf0", "\u200b", "a\u200d", "\u202e", "\r\n", "\ufe0f"]) == [
        "·⟨F0⟩", "⟨ZWSP⟩", "a⟨ZWJ⟩", "⟨RLO⟩", "⟨CR⟩↵", "⟨VS16⟩"
    ]  # fmt: skip
    assert labels([family, thumb, "❤\ufe0f"]) == [family, thumb, "❤\ufe0f"]


@given(st.text(st.characters(exclude_characters="\\", exclude_categories=["Cs"]), max_size=30), st.data())
def test_whatever_is_cut_is_whole_again(text, data):
    raw = text.encode()
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(raw) - 1)), max_size=6)))
    tokens = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    found = pieces([spelled(token) for token in tokens])
    whole, position = "", 0
    while position < len(tokens):
        piece = found[position]
        whole += tokens[position].decode() if piece is None else piece.text
        assert piece is None or [found[position + i] for i in range(piece.count)] == [
            Piece(piece.text, i, piece.count) for i in range(piece.count)
        ]
        position += 1 if piece is None else piece.count
    assert whole == text
