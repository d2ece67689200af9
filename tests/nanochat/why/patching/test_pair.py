"""Two prompts that cannot be patched into each other are refused, and shown side by side."""

from typing import Any

import pytest

from nanochat.errors import SettingInvalidError
from nanochat.why.patching import pair_of
from tests.models import random_model


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"corrupted": [7, 8, 9]}, "clean prompt has 4 tokens and the corrupted one 3"),
        ({"corrupted": [7, 8, 9, 10]}, "are the same: change a word"),
        ({"corrupted": [7, 8, 9, 300]}, "no token 300"),
        ({"clean": []}, "no token to read"),
        ({"clean": [1] * 641, "corrupted": [2] * 641}, "641 tokens and the model has positions for 640"),
        ({"answer": 300}, "no token 300"),
        ({"against": 5}, "answer and against are the same token"),
    ],
)
def test_prompts_that_cannot_be_patched(wish: dict[str, Any], message: str) -> None:
    given = {"clean": [7, 8, 9, 10], "corrupted": [7, 8, 9, 11], "answer": 5, "against": 6, **wish}
    with pytest.raises(SettingInvalidError, match=message):
        pair_of(random_model("F").config, **given)


def test_prompts_of_unlike_length_stand_side_by_side() -> None:
    with pytest.raises(SettingInvalidError) as error:
        pair_of(random_model("F").config, [7, 8, 9, 10], [7, 88, 9], 5, 6)
    assert str(error.value).splitlines()[1:-1] == ["  0  7   7", "  1  8   88  ≠", "  2  9   9", "  3  10    ≠"]
