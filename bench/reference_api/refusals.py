"""Why a request is not answered with what it asked for."""


class Away(Exception):  # noqa: N818 - what happened is the name
    """A component cannot be asked now: 503 with Retry-After, unless there is another way."""

    def __init__(self, component: str, because: str, retry_after_s: int = 1) -> None:
        self.component = component
        self.because = because
        self.retry_after_s = retry_after_s
        super().__init__(f"{component} is away: {because}")


class Busy(Away):
    """All of the pool's connections stayed in use. The component itself may be well: no breaker counts it."""


class MaybeDone(Away):
    """As Away, but while the commit was under way: nobody knows whether it took place."""


class Refused(Exception):  # noqa: N818 - what happened is the name
    """The request cannot be granted by anyone: a status from 400 to 499 and a sentence."""

    def __init__(self, status: int, because: str) -> None:
        self.status = status
        super().__init__(because)
