"""How a planned arrival can end. Every planned arrival ends in exactly one of these."""

from enum import IntEnum


class Outcome(IntEnum):
    """The one end of an arrival; the value is the index of its row in a Board."""

    OK = 0
    """The server answered, and the answer was not an error."""
    ERROR = 1
    """The server answered that it would not do it."""
    TIMEOUT = 2
    """Sent, no answer within the deadline: it may or may not have been applied."""
    RESET = 3
    """Sent, the connection broke before the answer: it may or may not have been applied."""
    REFUSED = 4
    """Never sent: there was no connection until its deadline passed."""
    DROPPED = 5
    """Never sent: every lane was busy until its deadline passed."""

    @property
    def label(self) -> str:
        """The name in results and reports: lower case."""
        return self.name.lower()


OUTCOMES = tuple(Outcome)
OUTCOME_COUNT = len(OUTCOMES)
