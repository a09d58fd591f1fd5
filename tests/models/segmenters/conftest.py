"""One thread: the networks of these tests are too small to gain from more, which would spin where cores are shared."""

import pytest
import torch


@pytest.fixture(scope="package", autouse=True)
def one_thread(few_threads):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
