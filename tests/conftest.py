"""Shared by all tests: one thread a worker, since pytest runs a worker on each core."""

import pytest
import torch

torch.set_num_threads(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--device cuda` runs the golden vectors on another device."""
    parser.addoption("--device", default="cpu", help="where tests/nanochat/test_golden.py computes (cpu, cuda, mps)")
