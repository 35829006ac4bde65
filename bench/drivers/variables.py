"""The numbers that a workload draws, as rows of the plan's table of variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.plan.draws import GAUSSIAN, SEQUENTIAL, STREAM_FIRST_VARIABLE, UNIFORM, ZIPF, variable_row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.scenario.model import Keys
    from bench.scenario.parameters import Parameter

DISTRIBUTIONS = {"uniform": UNIFORM, "zipf": ZIPF, "gaussian": GAUSSIAN, "sequential": SEQUENTIAL}


def variable_of(numbers: Keys | Parameter, count: int, number: int) -> NDArray[np.float64]:
    """Variable `number` (from 0) of a workload, drawing 0..count-1. Each has a stream of its own."""
    return variable_row(
        DISTRIBUTIONS[numbers.distribution],
        count,
        int(STREAM_FIRST_VARIABLE) + number,
        exponent=numbers.exponent,
        deviations=numbers.deviations,
    )


def variables_of(parameters: dict[str, Parameter]) -> list[NDArray[np.float64]]:
    """One variable for each parameter, in order."""
    return [
        variable_of(parameter, parameter.size, number) for number, parameter in enumerate(parameters.values())
    ]
