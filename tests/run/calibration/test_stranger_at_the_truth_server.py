"""Who connects to the truth server without business there takes no lane of the self-measurement."""

from __future__ import annotations

import contextlib
import socket

import pytest

from bench.run.calibration.truth_server import ANSWER, FIXED, REQUEST, TruthServer


@pytest.mark.timeout(300)  # a first run compiles
def test_a_stranger_is_turned_away_and_every_lane_is_ours() -> None:
    server = TruthServer(FIXED, 2)
    address = server._listener.getsockname()
    with socket.create_connection(address, 10) as stranger:
        stranger.sendall(REQUEST * 1000)
        lanes = [socket.socket(fileno=fd) for fd in server.connect()]
        try:
            with contextlib.suppress(ConnectionResetError):  # what it had sent was never read
                assert stranger.recv(4096) == b""
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address, 10)
            for lane in lanes:
                lane.setblocking(True)
                lane.settimeout(60)
                lane.sendall(REQUEST)
                assert lane.recv(64) == ANSWER
        finally:
            for lane in lanes:
                lane.close()
            server.close()
    assert int(server.service.sum()) == 2
