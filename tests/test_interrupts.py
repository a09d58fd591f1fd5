"""Ctrl-C that comes where Python drops what is raised."""

import signal

import pytest

from segassess.interrupts import noting_interrupts, raise_if_interrupted
from tests.cli.stopping import interrupt_that_gets_lost

pytestmark = [
    pytest.mark.usefixtures("ctrl_c_is_on"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_an_interrupt_that_got_lost_is_raised_when_asked_for():
    with pytest.raises(KeyboardInterrupt), noting_interrupts():
        raise_if_interrupted()
        interrupt_that_gets_lost()
        raise_if_interrupted()
    raise_if_interrupted()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_is_raised_at_once_each_time():
    with noting_interrupts():
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("other", [signal.SIG_IGN, lambda number, frame: None])
def test_what_others_do_with_interrupts_stays(other):
    signal.signal(signal.SIGINT, other)
    with noting_interrupts():
        assert signal.getsignal(signal.SIGINT) is other
        interrupt_that_gets_lost()
        raise_if_interrupted()
    assert signal.getsignal(signal.SIGINT) is other
