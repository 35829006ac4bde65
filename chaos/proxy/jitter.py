"""The random numbers of the toxics: the same seed gives the same sequence, whatever else happens."""

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15


def mixed(value: int) -> int:
    """One of 2**64 values from one of 2**64: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


class Draws:
    """A sequence of its own for every name, a tuple of numbers such as (seed, toxic, connection)."""

    __slots__ = ("_state",)

    def __init__(self, *name: int) -> None:
        state = 0
        for part in name:
            state = mixed((state + part * _STEP + _STEP) & _MASK)
        self._state = state

    def up_to(self, limit: int) -> int:
        """A whole number in 0..limit, uniform up to a bias of limit / 2**64."""
        self._state = (self._state + _STEP) & _MASK
        return (mixed(self._state) * (limit + 1)) >> 64
