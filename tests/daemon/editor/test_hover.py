"""What a hover says of a token."""

from daemon.editor.hover import describe
from daemon.editor.token_spans import Look
from protocol.types import TokenRow


def row(position: int, text: str) -> TokenRow:
    return TokenRow(position, 7, text, False, False, 1.5, [])


def test_it_says_when_layers_were_left_out():
    rows = [row(0, "a"), row(1, " b\u202e"), row(2, " c\t")]
    whole, partly = (describe(rows, 2, Look(0, 1, 1, 0.5, unread)) for unread in (0, 3))
    assert whole.splitlines() == [
        "·c⇥",
        "token 7 · position 2 · surprisal 1.50 bits",
        "",
        "L0H1 → «·b⟨RLO⟩» 0.50 (position 1)",
    ]
    assert partly == whole + "\nthe last 3 layers were not searched: that takes too long here"
