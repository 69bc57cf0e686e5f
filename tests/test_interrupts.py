import signal
import threading

import pytest

from vidpose.common.interrupts import deferred_interrupts


@pytest.fixture(autouse=True)
def interruptible():
    """Where pytest runs in the background, nobody else may interrupt it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted(done, error=None):
    with deferred_interrupts():
        signal.raise_signal(signal.SIGINT)
        done.append("the block")
        if error:
            raise error


@pytest.mark.parametrize("error", [None, ValueError("of the block")])
def test_an_interrupt_waits_for_the_end_of_the_block(error):
    done = []
    with pytest.raises(KeyboardInterrupt):
        interrupted(done, error)
    assert done == ["the block"]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_other_threads_pass_through():
    done = []

    def work():
        with deferred_interrupts():
            done.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [signal.getsignal(signal.SIGINT)]
