"""`python -m bench.reference_api`: one process, one event loop, until SIGTERM."""

import os
import signal
import socket
import sys
import threading
from types import FrameType
from typing import cast

from bench.reference_api.settings import Settings, SettingsError, read_settings

BAD_SETTINGS = 2
CANNOT_LISTEN = 1
BACKLOG = 2048
KEEP_ALIVE_S = 75
"""An idle connection is kept for longer than a scenario rests."""
GRACE_S = 0.5
"""How long requests under way may take once the process is to end."""


def main() -> int:
    """Run the API. The exit code: 0 after SIGTERM or SIGINT, 1 cannot listen, 2 bad settings."""
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"reference API: the settings cannot be used\n{error}\n")
        return BAD_SETTINGS
    try:
        listener = listen(settings)
    except OSError as error:
        sys.stderr.write(
            f"reference API: expected to listen on {settings.host} port {settings.port} (API_HOST, API_PORT),"
            f" found: {error.strerror or error}; name another\n"
        )
        return CANNOT_LISTEN
    serve(settings, listener)
    return 0


def listen(settings: Settings) -> socket.socket:
    """The listening socket, by the first address that the host has. Raises OSError."""
    family, _, _, _, address = socket.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    return socket.create_server((str(address[0]), int(address[1])), family=family, backlog=BACKLOG)


def serve(settings: Settings, listener: socket.socket) -> None:
    """Answer requests until a signal ends it."""
    from uvicorn import Config, Server

    from bench.reference_api.app import create_app
    from bench.reference_api.monitor import Ending

    ending = Ending()

    class DrainingServer(Server):
        """Ends a while after it was asked to, so that whoever asks for its health sends nothing more."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            """A signal came. A second one does not wait."""
            if ending.is_near or not settings.drain_s:
                super().handle_exit(sig, frame)
                return
            ending.is_near = True
            wait = threading.Timer(settings.drain_s, super().handle_exit, (sig, frame))
            wait.daemon = True
            wait.start()

    # The server raises the signal that ended it once more when all is done; that one is to do nothing.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    config = Config(
        create_app(settings, ending),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=cast("int", GRACE_S),  # it takes fractions too
    )
    host, port = listener.getsockname()[:2]
    sys.stdout.write(f"reference API on http://{f'[{host}]' if ':' in host else host}:{port}\n")
    sys.stdout.flush()
    DrainingServer(config).run(sockets=[listener])


if __name__ == "__main__":
    sys.exit(main())
