"""What a caller may ask of a generation, checked before any work is done."""

import json
import sys
from dataclasses import dataclass
from typing import Any

from nanochat.errors import PromptInvalidError, SettingInvalidError


@dataclass(frozen=True)
class GenerationSettings:
    """How a response was asked for."""

    max_tokens: int = 256
    temperature: float = 0.6
    top_k: int | None = 50
    seed: int = 42

    def check(self) -> None:
        """Raise SettingInvalidError where a value is out of its range."""
        numbers: list[tuple[str, Any, int]] = [
            ("max_tokens", self.max_tokens, 1 << 31),
            ("top_k", self.top_k or 0, 1 << 31),
            ("seed", self.seed, 1 << 63),
        ]
        for name, value, limit in numbers:
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < limit:
                raise SettingInvalidError(
                    f"{name}={_shown(value)}: use a whole number, 0 or above and below {limit:,}."
                )
        temperature = self.temperature
        if not isinstance(temperature, int | float) or not 0 <= temperature <= sys.float_info.max:
            raise SettingInvalidError(f"temperature={_shown(temperature)}: use a number, 0 or above.")


def _shown(value: Any) -> str:
    """A value in a message; Python spells out no whole number of more than 4,300 digits."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"about 2**{value.bit_length()}"
    return f"{value!r:.100}"


def checked_metadata(metadata: Any) -> dict[str, Any]:
    """The caller's metadata as plain JSON values; SettingInvalidError for what JSON cannot hold."""
    try:
        text = json.dumps(metadata or {}, allow_nan=False, ensure_ascii=False)
        text.encode()
        plain = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise SettingInvalidError(f"metadata must hold only what JSON can: {error}.") from error
    if not isinstance(plain, dict):
        raise SettingInvalidError(f"metadata must be names with values, not {metadata!r:.80}.")
    return plain


def check_unicode(text: str) -> None:
    """Raise PromptInvalidError where a text has half a character."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PromptInvalidError(
            f"The prompt has a broken character at {error.start}: it is not valid Unicode."
        ) from error
