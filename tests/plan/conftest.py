"""With the JIT off the draws wrap around as numpy integers, which numpy would warn of."""

from collections.abc import Iterator

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _wrap_around() -> Iterator[None]:
    with np.errstate(over="ignore"):
        yield
