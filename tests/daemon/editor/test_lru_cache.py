"""Answers that are kept."""

import pytest

from daemon.editor.lru_cache import LruCache


def test_each_answer_is_read_once_until_too_many_came_since():
    asked: list[str] = []

    def get(key: str) -> str:
        def read() -> str:
            asked.append(key)
            return key.upper()

        return remembered.get(key, read)

    remembered: LruCache[str] = LruCache(2)
    assert [get(key) for key in "abab"] == ["A", "B", "A", "B"]
    assert asked == ["a", "b"]
    get("a")
    get("c")  # b was asked for longest ago
    assert [get(key) for key in "acb"] == ["A", "C", "B"]
    assert asked == ["a", "b", "c", "b"]


def test_what_is_raised_is_not_kept():
    remembered: LruCache[int] = LruCache(2)

    def fail() -> int:
        raise LookupError

    with pytest.raises(LookupError):
        remembered.get("a", fail)
    assert remembered.get("a", lambda: 1) == 1


def test_nothing_is_an_answer_too():
    remembered: LruCache[int | None] = LruCache(2)
    assert remembered.get("a", lambda: None) is None
    assert remembered.get("a", lambda: 1) is None
