"""How a study is stopped."""

import os
import signal

import pytest

from resprout.cli.workers import stopped_cleanly


def wait_for(how):
    with stopped_cleanly():
        os.kill(os.getpid(), how)
        signal.pause()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_says_how_to_go_on_and_then_means_what_it_did(how):
    before = signal.getsignal(signal.SIGTERM), signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
        wait_for(how)
    assert signal.getsignal(signal.SIGTERM) == before[0]
    signal.signal(signal.SIGINT, before[1])
