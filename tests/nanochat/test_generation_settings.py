"""What may be asked of a generation, and what is said of the rest."""

from typing import Any

import pytest

from nanochat.errors import SettingInvalidError
from nanochat.generation_settings import GenerationSettings


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"max_tokens": 1 << 31}, r"max_tokens=2147483648: use a whole number, 0 or above and below 2,147,483,648\."),
        ({"top_k": 1 << 31}, r"top_k=2147483648: .* below 2,147,483,648\."),
        ({"seed": 1 << 64}, r"seed=18446744073709551616: .* below 9,223,372,036,854,775,808\."),
        ({"seed": 10**5000}, r"seed=about 2\*\*16610: use a whole number"),
        ({"seed": -1}, "seed=-1: use a whole number"),
        ({"temperature": 10**400}, r"temperature=about 2\*\*1329: use a number"),
        ({"temperature": -(10**400)}, "temperature=about .*: use a number"),
        ({"temperature": float("inf")}, "temperature=inf: use a number"),
        ({"temperature": float("nan")}, "temperature=nan: use a number"),
        ({"temperature": -0.1}, "temperature=-0.1: use a number"),
        ({"temperature": "1" * 1000}, "temperature='1{99}: use a number"),
    ],
)
def test_what_is_out_of_range_is_named_with_its_limit(wish: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingInvalidError, match=message):
        GenerationSettings(**wish).check()


@pytest.mark.parametrize(
    "wish",
    [
        {"max_tokens": (1 << 31) - 1},
        {"seed": (1 << 63) - 1},
        {"temperature": 1e308},
        {"temperature": 0},
        {"top_k": None},
    ],
)
def test_the_limits_themselves_are_taken(wish: dict[str, Any]) -> None:
    GenerationSettings(**wish).check()
