"""What a Redis reports about itself: memory and clients; and what may have held its one thread up."""

from collections.abc import Mapping

from bench.core.clock import monotonic_ns
from bench.resources.services.noticed import Noticed, Notices
from bench.results.logs import BUSY_COMMAND, FORK, LATENCY_EVENT, SLOW_COMMAND, SNAPSHOT
from bench.stack.probes.connection import ProbeError
from bench.stack.probes.redis import ErrorReply, Nested, RespClient
from bench.stack.target import Target

DEADLINE_S = 1.0
SECTIONS = ("memory", "clients", "stats", "persistence", "commandstats")
COLUMNS = {
    "used_memory": "used_memory_bytes",
    "used_memory_rss": "used_memory_rss_bytes",
    "mem_fragmentation_ratio": "fragmentation_ratio",
    "connected_clients": "clients",
    "evicted_keys": "evicted_keys",
}
"""Field of INFO -> column of resources.csv."""


SLOW_ENTRIES = "32"
"""Of the slow log, in one look."""
BUSY = 0.1
"""Share of the server's thread that a command must have had to be worth a word."""
KNOWN_OTHERWISE = ("command", "fast-command", "fork")
"""Events of LATENCY that the slow log and INFO report too."""
IN_PROGRESS = {"rdb_bgsave_in_progress": "BGSAVE", "aof_rewrite_in_progress": "BGREWRITEAOF"}
CONTAINERS = frozenset({"client", "config", "debug", "function", "memory", "object", "script", "xinfo"})
"""Commands whose first argument is a part of their name, and no data."""


class RedisInfo:
    """Asks over a new connection each time: a server that was unreachable needs no other care."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._events = RedisEvents()
        self.notices = self._events.notices

    def ask(self) -> dict[str, float]:
        """The columns; none while the server is unreachable, or does not allow this user to ask."""
        try:
            with RespClient.logged_in(self._target, DEADLINE_S) as server:
                sections = [server.ask("INFO", section) for section in SECTIONS]
                info = "\n".join(str(text) for text in sections)
                slow = self._list(server, "SLOWLOG", "GET", SLOW_ENTRIES)
                latest = self._list(server, "LATENCY", "LATEST")
        except (ProbeError, ErrorReply):
            return {}
        self._events.look(monotonic_ns(), fields_of(info), slow, latest)
        return redis_columns(info)

    def _list(self, server: RespClient, *words: str) -> list[Nested]:
        """The answer to what a user may be refused; then it is asked no more."""
        if self.notices.is_left_out(words[0]):
            return []
        try:
            return server.ask_list(*words)
        except ErrorReply as reply:
            self.notices.leave_out(words[0], reply)
            return []

    def abort(self) -> None:
        """Nothing to do: no question outlasts its deadline."""


class RedisEvents:
    """What happened between one look and the next, by the counters and logs of both.

    One thread does everything there: what held it up did not begin before it had answered the look before.
    """

    def __init__(self) -> None:
        self.notices = Notices()
        self._before_ns: int | None = None
        self._forks = -1
        self._slow_id = -1
        self._latency: dict[str, tuple[Nested, ...]] = {}
        self._commands: Mapping[str, tuple[int, int]] = {}

    def look(self, now_ns: int, info: Mapping[str, str], slow: list[Nested], latest: list[Nested]) -> None:
        """What INFO, SLOWLOG GET and LATENCY LATEST say now. The first look only remembers."""
        before_ns, self._before_ns = self._before_ns, now_ns
        self._forked(before_ns, now_ns, info)
        self._was_slow(before_ns, now_ns, slow)
        self._was_latent(before_ns, now_ns, latest)
        self._was_busy(before_ns, now_ns, commands_of(info))

    def _forked(self, before_ns: int | None, now_ns: int, info: Mapping[str, str]) -> None:
        # Servers before 6.2 do not count their forks: the time that the latest took tells most of them apart.
        forks = int(info.get("total_forks", info.get("latest_fork_usec", "0")))
        known, self._forks = self._forks, forks
        if before_ns is None:
            return
        if forks != known:
            took_ns = int(info.get("latest_fork_usec", "0")) * 1000
            self.notices.add(Noticed(before_ns, now_ns, FORK, "fork", took_ns=took_ns))
        for field, command in IN_PROGRESS.items():
            if info.get(field) == "1":
                self.notices.add(Noticed(before_ns, now_ns, SNAPSHOT, command))

    def _was_slow(self, before_ns: int | None, now_ns: int, entries: list[Nested]) -> None:
        known = self._slow_id
        for entry in entries:
            match entry:
                case [int(number), int(), int(took_us), [*words], *_]:
                    self._slow_id = max(self._slow_id, number)
                    if before_ns is not None and number > known:
                        took_ns = took_us * 1000
                        self.notices.add(
                            Noticed(before_ns, now_ns, SLOW_COMMAND, command_name(words), took_ns=took_ns)
                        )

    def _was_latent(self, before_ns: int | None, now_ns: int, events: list[Nested]) -> None:
        for event in events:
            match event:
                case [str(name), int(at_s), int(took_ms), *_] if name not in KNOWN_OTHERWISE:
                    is_new = self._latency.get(name) != (at_s, took_ms)
                    self._latency[name] = (at_s, took_ms)
                    if before_ns is not None and is_new:
                        took_ns = took_ms * 1_000_000
                        self.notices.add(Noticed(before_ns, now_ns, LATENCY_EVENT, name, took_ns=took_ns))

    def _was_busy(self, before_ns: int | None, now_ns: int, commands: Mapping[str, tuple[int, int]]) -> None:
        known, self._commands = self._commands, commands
        if before_ns is None or not known or not commands:
            return
        calls, spent_us, name = max(
            (
                (count - known.get(name, (0, 0))[0], us - known.get(name, (0, 0))[1], name)
                for name, (count, us) in commands.items()
            ),
            key=lambda one: one[1],
        )
        share = spent_us * 1000 / max(now_ns - before_ns, 1)
        if calls > 0 and share >= BUSY:
            mean_ns = spent_us * 1000 // calls
            self.notices.add(
                Noticed(before_ns, now_ns, BUSY_COMMAND, name.upper(), calls, mean_ns, min(share, 1.0))
            )


def command_name(words: list[Nested]) -> str:
    """A command without its arguments: they are keys and values."""
    names = [str(word) for word in words[:2]]
    if len(names) > 1 and names[0].lower() in CONTAINERS:
        return f"{names[0]} {names[1]}".upper()[:40]
    return names[0].upper()[:40] if names else "?"


def fields_of(info: str) -> dict[str, str]:
    """The fields of a text of INFO."""
    lines = (line.partition(":") for line in info.splitlines())
    return {name: text for name, colon, text in lines if colon}


def commands_of(info: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """Calls and microseconds by command, of INFO commandstats."""
    found = {}
    for name, text in info.items():
        if name.startswith("cmdstat_"):
            figures = dict(pair.split("=", 1) for pair in text.split(",") if "=" in pair)
            found[name.removeprefix("cmdstat_").replace("|", " ")] = (
                int(figures.get("calls", "0")),
                int(figures.get("usec", "0")),
            )
    return found


def redis_columns(info: str) -> dict[str, float]:
    """The columns that stand in a text of INFO; our own connection is not among the clients."""
    found: dict[str, float] = {}
    for line in info.split("\n"):
        name, _, text = line.partition(":")
        if name in COLUMNS:
            try:
                found[COLUMNS[name]] = float(text)
            except ValueError:
                continue
    if "clients" in found:
        found["clients"] = max(found["clients"] - 1, 0)
    return found
