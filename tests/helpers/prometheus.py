"""Debian's Prometheus for a test: a configuration, rules, and what it scrapes."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench.stack.probes.prometheus import Prometheus, QueryError
from tests.helpers.waiting import eventually

CONFIG = """\
global: {{scrape_interval: 200ms, evaluation_interval: 200ms}}
rule_files: [rules/*.yaml]
scrape_configs:
  - job_name: under_test
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
START_S = 60.0


def program(name: str) -> str:
    """Where a program is; the test is left out, with its name, where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@contextlib.contextmanager
def metrics_page(text: Callable[[], str]) -> Iterator[int]:
    """Serve what `text` says at the time; the port."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = text().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def prometheus(folder: Path, scraped_port: int, ready: str, rules: Path | None = None) -> Iterator[str]:
    """The address of one that scrapes this port; `ready`: a query that has a value once it has."""
    binary = program("prometheus")
    (folder / "rules").mkdir(parents=True)
    for file in rules.glob("*.yaml") if rules else ():
        shutil.copy(file, folder / "rules")
    (folder / "prometheus.yaml").write_text(CONFIG.format(port=scraped_port))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    options = (
        f"--config.file={folder}/prometheus.yaml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={address}",
    )
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([binary, *options], stdout=log, stderr=log)
    try:
        asked = Prometheus(f"http://{address}")

        def has_value() -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            with contextlib.suppress(QueryError):
                return asked.value(ready) is not None
            return False

        eventually(has_value, "Prometheus has scraped", START_S)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait()
