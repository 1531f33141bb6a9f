"""An interrupt is raised again where Python dropped it."""

import signal

import pytest

from crosscheck import interrupts


class Dropping:
    """Is interrupted in its destructor, where no exception goes on."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_in_a_destructor_is_raised_at_the_next_look():
    with interrupts.remembered() as look:
        look()
        Dropping()
        with pytest.raises(KeyboardInterrupt):
            look()


def test_the_handler_is_pythons_own_afterwards():
    with interrupts.remembered():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
