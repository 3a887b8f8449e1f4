"""What is told when kernels are compiled."""

from numba import njit

from resprout.kernels import compiling, select


def test_what_numba_compiles_is_told_once_and_timed():
    select.choose("cpu_numba")  # which has Numba's word

    @njit
    def inner(x):
        return x + 1

    @njit
    def outer(x):
        return inner(x) * 2

    told, before = [], compiling.seconds()
    with compiling.telling(lambda: told.append(compiling.seconds())):
        assert outer(1) == 4
        assert told == [before]  # inner, which is compiled within outer, is not told again
        after = compiling.seconds()
        assert after > before
        assert outer(2) == 6
        assert (told, compiling.seconds()) == ([before], after)
    assert outer(1.0) == 4.0  # for other types, and nobody is told
    assert told == [before]
    assert compiling.seconds() > after
