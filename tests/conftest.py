"""Shared by all tests: one thread a worker, since pytest runs a worker on each core."""

import torch

torch.set_num_threads(1)
