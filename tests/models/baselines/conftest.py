"""What the baselines' tests share."""

import pytest
import torch
from segment_anything import sam_model_registry

from tests.models.baselines.stubs import tiny_sam


@pytest.fixture(autouse=True, scope="package")
def one_thread():
    """Small tensors are faster on one thread, and two cores are shared with others."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny_sam_type(monkeypatch) -> str:
    """The name under which the package builds `tiny_sam`."""
    monkeypatch.setitem(sam_model_registry, "vit_tiny", tiny_sam)
    return "vit_tiny"
