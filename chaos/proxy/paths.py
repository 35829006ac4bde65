"""The proxies between services: one on each path that has faults (`latency: redis, from: api`).

A service learns once, at its start, where what it needs is. So these proxies begin with the stack, whose
services get their addresses, and serve all of its runs; each run has its own faults, and watches them anew.
They end with the harness, and so do the services that go through them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

from bench.core.errors import TargetError
from bench.registry import path_name
from chaos.proxy.client import FaultProxy

if TYPE_CHECKING:
    from bench.stack.target import Target

Path = tuple[str, str]
"""A service of the stack, and the target that it needs."""


class PathProxies:
    """Leads services to their targets through proxies (bench.stack.stack.Detours)."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = frozenset(paths)
        self._proxies: dict[Path, FaultProxy] = {}
        self._led: dict[Path, Target] = {}

    def lead(self, client: str, target: Target, host: str) -> Target:
        """The target, or the proxy before it where this path has one. Raises TargetError."""
        path = (client, target.name)
        if path not in self._paths:
            return target
        if path in self._led:  # by another instance of the client
            return self._led[path]
        proxy = FaultProxy(target.host, target.port, name=target.name, client=client, host=host)
        self._proxies[path] = proxy
        self._led[path] = target.through(*proxy.start())
        return self._led[path]

    def between(self, client: str, target: str) -> FaultProxy:
        """The proxy of a path, running. Raises TargetError where the service was not led through one."""
        proxy = self._proxies.get((client, target))
        if proxy is None:
            raise TargetError(
                client,
                path_name(client, target),
                f"a service that this stack starts, with the address of a proxy before {target}",
                "one that runs already",
                "use --stack embedded or docker, or a stack file that starts it",
            )
        if not proxy.is_alive:  # it ended in an earlier run, which said so: the same port again
            proxy.close()
            proxy.start()
        return proxy

    def close(self) -> None:
        """End them all. Idempotent."""
        with contextlib.ExitStack() as cleanup:
            for proxy in self._proxies.values():
                cleanup.callback(proxy.close)
            self._proxies = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
