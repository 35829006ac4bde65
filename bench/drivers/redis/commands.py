"""Redis commands: as templates, as words for a client library, and which of them look something up."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from bench.core.answers import FOUND, MISSED
from bench.drivers.templates import Draws, TemplateWriter, Vocabulary, Words
from bench.engine.client.pool import PendingRequest
from bench.engine.wire.layout import LOOKUP_EACH, LOOKUP_ONE, NO_LOOKUP


def encode(*words: bytes | str | int) -> bytes:
    """One command as a RESP array of bulk strings."""
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def command_template(words: tuple[str, ...], vocabulary: Vocabulary) -> TemplateWriter:
    """One command with placeholders as a RESP array of bulk strings."""
    command = TemplateWriter(vocabulary)
    command.literal(b"*%d\r\n" % len(words))
    for word in words:
        text = _template(word, vocabulary)
        command.literal(b"$")
        command.size_of(text)
        command.literal(b"\r\n")
        command.include(text)
        command.literal(b"\r\n")
    return command


def _template(word: str, vocabulary: Vocabulary) -> TemplateWriter:
    writer = TemplateWriter(vocabulary)
    writer.text(word)
    return writer


@dataclass(frozen=True)
class CommandWords:
    """One command. The first word is text where it can be, because a client library looks it up by name."""

    words: tuple[str | bytes, ...]
    varying: tuple[tuple[int, Words], ...]
    """Position and text of each word that every arrival has its own of."""

    @classmethod
    def of(cls, command: tuple[str, ...], vocabulary: Vocabulary, draws: Draws) -> Self:
        """The words of a command with placeholders."""
        texts = [Words(_template(word, vocabulary), draws) for word in command]
        constant = [text.constant or b"" for text in texts]
        varying = tuple((place, text) for place, text in enumerate(texts) if text.constant is None)
        first = constant[0] if texts[0].constant is None else constant[0].decode()
        return cls((first, *constant[1:]), varying)

    def render(self, ticket: PendingRequest) -> list[str | bytes]:
        """The words for one arrival."""
        words = list(self.words)
        for position, text in self.varying:
            words[position] = text.render(ticket)
        return words


_ONE = frozenset(
    (
        *("GET", "GETEX", "GETDEL", "GETSET", "DUMP", "RANDOMKEY", "KEYS", "SORT", "SORT_RO"),
        *("HGET", "HGETALL", "HKEYS", "HVALS", "HRANDFIELD"),
        *("LINDEX", "LPOP", "RPOP", "LRANGE", "LPOS", "LMOVE", "RPOPLPUSH", "LMPOP"),
        *("BLPOP", "BRPOP", "BLMOVE", "BRPOPLPUSH", "BLMPOP"),
        *("SMEMBERS", "SPOP", "SRANDMEMBER", "SINTER", "SUNION", "SDIFF"),
        *("ZSCORE", "ZRANK", "ZREVRANK", "ZRANGE", "ZREVRANGE", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE"),
        *("ZRANGEBYLEX", "ZREVRANGEBYLEX", "ZRANDMEMBER", "ZINTER", "ZUNION", "ZDIFF"),
        *("ZPOPMIN", "ZPOPMAX", "BZPOPMIN", "BZPOPMAX", "ZMPOP", "BZMPOP"),
        *("XRANGE", "XREVRANGE", "XREAD", "XREADGROUP"),
        *("GEOPOS", "GEODIST", "GEOSEARCH", "GEORADIUS", "GEORADIUSBYMEMBER"),
    )
)
"""One lookup a command: it missed where its answer holds no value at all."""

_EACH = frozenset(["MGET", "HMGET", "HGETEX", "HGETDEL", "ZMSCORE", "GEOHASH"])
"""One lookup for each value of the answer."""


def lookup_of(command: tuple[str, ...]) -> int:
    """What the answer to a command counts as. Commands of modules (JSON.GET) go by their own part."""
    name = command[0].upper().rpartition(".")[2]
    if name in _EACH:
        return LOOKUP_EACH
    return LOOKUP_ONE if name in _ONE else NO_LOOKUP


_KEYLESS = frozenset(
    (
        *("PING", "ECHO", "TIME", "INFO", "DBSIZE", "ROLE", "LASTSAVE", "RANDOMKEY", "KEYS", "SCAN", "WAIT"),
        *("CLIENT", "CONFIG", "CLUSTER", "COMMAND", "ACL", "LATENCY", "SLOWLOG", "SCRIPT", "FUNCTION"),
        *("PUBLISH", "PUBSUB", "FLUSHALL", "FLUSHDB", "SWAPDB", "SAVE", "BGSAVE", "BGREWRITEAOF"),
    )
)
_SECOND = frozenset(["BITOP", "OBJECT", "MEMORY", "XINFO", "XGROUP", "DEBUG"])
_COUNTED = frozenset(["EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"])
"""COMMAND text numkeys key ..."""
_COUNTED_FIRST = frozenset(["ZINTER", "ZUNION", "ZDIFF", "ZMPOP", "LMPOP", "SINTERCARD", "ZINTERCARD"])
"""COMMAND numkeys key ..."""
_COUNTED_SECOND = frozenset(["BLMPOP", "BZMPOP"])
_STREAMS = frozenset(["XREAD", "XREADGROUP"])


def key_at(command: tuple[str, ...]) -> int:
    """Which word of a command is its first key, by which a cluster chooses the node; -1 where it has none."""
    name, at = command[0].upper(), 1
    if name in _KEYLESS:
        return -1
    if name in _COUNTED:
        at = 3 if command[2:3] != ("0",) else -1
    elif name in _SECOND or name in _COUNTED_FIRST:
        at = 2
    elif name in _COUNTED_SECOND:
        at = 3
    elif name in _STREAMS:
        words = [word.upper() for word in command]
        at = words.index("STREAMS") + 1 if "STREAMS" in words else -1
    return at if at < len(command) else -1


def found_by(reply: Any, kind: int) -> tuple[int, ...]:
    """What a client library's reply to a lookup counts as, in columns of a table of answers."""
    values = list(_values(reply))
    if kind == LOOKUP_EACH:
        return tuple(MISSED if value is None else FOUND for value in values)
    return (FOUND if any(value is not None for value in values) else MISSED,)


def _values(reply: Any) -> Iterator[Any]:
    """The values of a reply at any depth, nulls among them."""
    match reply:
        case dict():
            for key, value in reply.items():
                yield key
                yield from _values(value)
        case list() | tuple() | set() | frozenset():
            for item in reply:
                yield from _values(item)
        case _:
            yield reply
