from types import SimpleNamespace

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from segassess.errors import ConfigError
from segassess.training.module import Schedule


class Line(L.LightningModule):
    """Fits a number, and notes the learning rate of every step."""

    def __init__(self, schedule: Schedule, after_step=lambda: None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.schedule, self.after_step, self.rates = schedule, after_step, []

    def training_step(self, batch, index):
        self.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        self.after_step()
        return (self.weight - batch).square().mean()

    def configure_optimizers(self):
        return self.schedule.configure(self, lambda parameters: torch.optim.SGD(parameters, lr=1.0), "none")


def rates(schedule: Schedule, after_step=lambda: None, **options) -> list[float]:
    module = Line(schedule, after_step)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    L.Trainer(accelerator="cpu", **quiet, **options).fit(module, DataLoader(torch.ones(10), batch_size=1))
    return module.rates


def test_a_cosine_by_steps_rises_and_falls_to_almost_nothing():
    found = rates(Schedule("cosine", warmup=0.2), max_epochs=2)
    peak = found.index(max(found))
    assert len(found) == 20 and 2 <= peak <= 4 and max(found) > 0.95
    assert found[:peak] == sorted(found[:peak]) and found[peak:] == sorted(found[peak:], reverse=True)
    assert 0 < found[0] and 0 < found[-1] < 0.02


def test_a_cosine_by_time_ends_with_the_budget_however_fast_the_steps_are(monkeypatch):
    now = 0.0

    def pass_time():
        nonlocal now
        now += pause

    # The clock of Lightning's Timer.
    monkeypatch.setattr("lightning.pytorch.callbacks.timer.time", SimpleNamespace(monotonic=lambda: now))
    for pause in (0.01, 0.05):
        found = rates(Schedule("cosine", by="time"), pass_time, max_epochs=-1, max_time={"seconds": 1})
        assert len(found) == pytest.approx(1 / pause, abs=1)
        assert found[0] > 0.9 and found[-1] < 0.1
        assert found == sorted(found, reverse=True)


def test_a_cosine_by_time_needs_a_budget():
    with pytest.raises(ConfigError, match=r"trainer\.max_time"):
        rates(Schedule("cosine", by="time"), max_epochs=1)
    with pytest.raises(ConfigError, match="steps or time, not 'day'"):
        Schedule("cosine", by="day")  # type: ignore[arg-type]
