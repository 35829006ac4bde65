"""The targets that can be asked now: the stack that is up, a compose project, what the environment names."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.errors import TargetError, UsageError
from bench.registry import SERVICES, url_variables
from bench.stack.background.state import read_state
from bench.stack.external import further_services, named_by_the_user, services_in, url_in
from bench.stack.probes.health import ServiceHealth, health_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.stack.target import Target

ASKABLE = ("external", "compose")


def live_rows(stack: str | None, asked: bool, services: Iterable[str]) -> list[ServiceHealth]:
    """The health of each target; none where it was not asked for and no stack is up.

    `stack` is None, "external" (what the environment names) or "compose" (the project that runs). Nothing is
    started. Raises UsageError for another stack, TargetError for a service without a name.
    """
    if stack is not None and stack not in ASKABLE:
        raise UsageError(
            f"--stack: expected {' or '.join(ASKABLE)}, which run already, found '{stack}'; "
            "bench stack up keeps an embedded stack up, and that one is asked without --stack"
        )
    given = services_in(services, "the command line")
    background = read_state()
    is_up = background is not None and background.is_up()
    if not (asked or stack or given or is_up):
        return []
    targets: list[Target] = list(background.targets) if background is not None and is_up else []
    named = [named_by_the_user(name) for name in url_variables() if url_in(name)]
    for target in [*named, *further_services(), *given]:
        if all((target.name, target.address) != (other.name, other.address) for other in targets):
            targets.append(target)
    return health_of(targets) + (_compose_rows() if stack == "compose" else [])


def _compose_rows() -> list[ServiceHealth]:
    """Each target that a compose project can have, by itself: one that is missing hides no other."""
    from bench.stack.docker.compose import ComposeStack

    rows: list[ServiceHealth] = []
    with tempfile.TemporaryDirectory(prefix="holdfast-") as logs:
        for name, service in SERVICES.items():
            try:
                with ComposeStack({name}, Path(logs)) as stack:
                    rows += stack.health()
            except TargetError as error:
                rows.append(ServiceHealth(name, service.kind.name, "unknown", "down", str(error)))
    return rows
