"""The proxy's program: started by its path, with the standard library alone, up within some 60 ms.

The first line of stdin is the specification (see `chaos.proxy.messages`), the first line of stdout the
address that it listens on, or why it does not. After that, see `chaos.proxy.proxy`.

It ends when stdin does, when the harness's process is gone (a fork of it may hold stdin open for
longer), and on SIGTERM, SIGINT and SIGHUP; its connections break then, and that is all there is to
heal. Not by PR_SET_PDEATHSIG: that is the death of the thread that started it, and a harness may
start it from a thread that ends.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaos.proxy.loop import Gauges, Loop
    from chaos.proxy.proxy import Proxy
    from chaos.proxy.relay import Relay


def main() -> None:
    """Serve until the harness is gone."""
    # At the end of the path, where the packages hide no module of the standard library's.
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    from chaos.proxy.loop import LOOP, Gauges, Loop
    from chaos.proxy.messages import Failed, Listening, read_specification, to_line
    from chaos.proxy.proxy import Control, Proxy

    # Unbuffered: what follows the first line belongs to `Control`.
    line = b""
    while not line.endswith(b"\n"):
        data = os.read(0, 1)
        if not data:
            return
        line += data
    specification = read_specification(line)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    # A thread of the harness may have blocked signals, and a new process inherits that.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each connection takes two

    gauges = Gauges(specification.gauges)
    gauges.is_here(LOOP, threading.get_native_id())
    loop = Loop(gauges)
    try:
        proxy = Proxy(loop, specification)
    except OSError as error:
        os.write(1, to_line(0, Failed(str(error))))
        return
    control = Control(loop, proxy, 0, 1)
    loop.register(0, select.EPOLLIN, control.on_readable)
    with contextlib.suppress(OSError):  # Linux 5.3
        loop.register(os.pidfd_open(specification.harness_pid), select.EPOLLIN, lambda _mask: loop.end())
    if os.getppid() != specification.harness_pid:
        return  # it died before it could be watched
    # Connections break their cycles when they close; a collection would be in a client's latency.
    gc.collect()
    gc.disable()
    control.say(0, Listening(*proxy.address))
    if specification.packages is None:
        proxy.without_relay("not asked for")
    else:
        _load_relay(loop, proxy, gauges, specification.packages)
    loop.run()


def _load_relay(loop: Loop, proxy: Proxy, gauges: Gauges, packages: Sequence[str]) -> None:
    """Load it in a thread, for that takes a second; the loop serves without it until then."""
    loaded: list[Relay | str] = []
    ready = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def load() -> None:
        try:
            sys.path.extend(packages)
            from chaos.proxy.relay import Relay

            relay = Relay(loop.traffic.fileno(), proxy.lending.wake, proxy.lending.released, gauges)
            relay.start()
            loaded.append(relay)
        except BaseException as failure:  # noqa: BLE001 - it is reported, and bytes are passed on without it
            loaded.append(f"{type(failure).__name__}: {failure}")
        os.eventfd_write(ready, 1)

    def take(_mask: int) -> None:
        loop.unregister(ready)
        os.close(ready)
        gc.freeze()
        if isinstance(loaded[0], str):
            proxy.without_relay(loaded[0])
        else:
            proxy.use_relay(loaded[0])

    loop.register(ready, select.EPOLLIN, take)
    threading.Thread(target=load, name="loading", daemon=True).start()


if __name__ == "__main__":
    main()
