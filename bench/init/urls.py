"""URLs of running services: each is read, and written without its password."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.core.errors import UsageError
from bench.core.units import quoted
from bench.init.findings import MEASURABLE, FoundTarget, name_from
from bench.registry import DRIVERS, url_variables
from bench.stack.target import Target, is_loopback_literal, socket_file_of
from bench.stack.target_url import target_of, url_of

_MARK = "holdfast0password"


def targets_of(given: Sequence[str]) -> list[Target]:
    """The targets that words of the command line name: URL or NAME=URL.

    Raises UsageError for a kind that no stack file has, TargetError for a URL that cannot be read.
    """
    targets: list[Target] = []
    for word in given:
        name, url = _split(word)
        read = target_of(_without_dialect(url), name=name or "URL", source="the command line")
        if read.kind not in MEASURABLE:
            raise UsageError(f"init: expected a URL of {', '.join(MEASURABLE)}, found one of {read.kind}")
        names = [target.name for target in targets]
        if name in names:
            raise UsageError(f"init: expected every name once, found {quoted(name)} again")
        usual = "api" if read.kind == "http" else read.kind
        targets.append(replace(read, name=name_from(name or usual, names)))
    return targets


def variables_in(environment: Mapping[str, str]) -> dict[str, str]:
    """Variable -> the URL in it, of those that name a target."""
    values = {variable: environment.get(variable, "").strip() for variable in url_variables().values()}
    return {variable: url for variable, url in values.items() if url}


def targets_in(environment: Mapping[str, str]) -> list[tuple[Target, str | None]]:
    """The targets that it names, each with the variable whose URL can be used as it stands.

    Raises TargetError for a URL that cannot be read.
    """
    names = {variable: name for name, variable in url_variables().items()}
    return [
        (
            target_of(_without_dialect(url), name=names[variable], source=variable),
            variable if _without_dialect(url) == url else None,
        )
        for variable, url in variables_in(environment).items()
    ]


def _without_dialect(url: str) -> str:
    """postgresql+asyncpg://, as SQLAlchemy has it, is the URL of a Postgres."""
    return re.sub(r"^(postgres(?:ql)?)\+\w+(?=://)", r"\1", url)


def _split(word: str) -> tuple[str, str]:
    """NAME=URL as its parts; an = inside a URL stands behind its scheme."""
    name, equals, url = word.partition("=")
    return (name.strip(), url) if equals and "://" not in name else ("", word)


def found_target(target: Target, variable: str | None = None, secret: str | None = None) -> FoundTarget:
    """The target as it is written down, without its password.

    `variable`: of the environment, which has its URL; `secret`: which has or shall have its password.
    """
    url = url_of(replace(target, password=_MARK if target.password else None))
    url = url.replace("${", "$${")
    if target.password:
        secret = variable or secret or f"{target.name.upper()}_PASSWORD"
        url = f"${{{variable}}}" if variable else url.replace(_MARK, f"${{{secret}}}")
    elif variable:
        # Braces cannot stand in a default; such a URL is left to the environment.
        url = f"${{{variable}}}" if {"{", "}"} & set(url) else f"${{{variable}:-{url}}}"
    far = [
        host
        for host, port in target.endpoints
        if host != "localhost" and not is_loopback_literal(host) and not socket_file_of(host, port)
    ]
    return FoundTarget(
        target.name,
        target.kind,
        url,
        target.address,
        pooler=target.pooler,
        far_hosts=tuple(far),
        secret=secret,
    )


def behind_guessed(targets: Sequence[FoundTarget]) -> list[FoundTarget]:
    """The same, each API with the stores that it may work with."""
    kinds = {facts.kind for facts in DRIVERS.values()} - {"http", None}
    stores = tuple(target.name for target in targets if target.kind in kinds and not target.problem)
    note = "behind is a guess: keep what it works with; that is sampled, and faults can hit it there."
    return [
        replace(target, behind=stores, notes=(*target.notes, note))
        if target.kind == "http" and stores
        else target
        for target in targets
    ]
