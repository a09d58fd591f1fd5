"""Callbacks that end a run early, as a machine that is switched off would, one that breaks, or its user."""

import signal

import lightning as L


class StopAfterEpoch(L.Callback):
    """Stop after an epoch (from 0); unlike `max_epochs` it does not shorten the learning-rate schedule."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch >= self.epoch:
            trainer.should_stop = True


class DieAfterEpoch(L.Callback):
    """Raise what no one expects after an epoch (from 0)."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch >= self.epoch:
            raise ArithmeticError("as a GPU that falls off the bus")


class LostInterrupt(L.Callback):
    """Ctrl-C in the moment of saving an epoch (from 0), lost."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        if trainer.current_epoch == self.epoch:
            interrupt_that_gets_lost()


def interrupt_that_gets_lost() -> None:
    """Ctrl-C while an object is deleted, where Python prints and drops what is raised."""

    class Deleted:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    Deleted()
