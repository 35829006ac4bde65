"""Stack files: the system under test described once, its targets by names that the user chooses.

    text ─ compose ─▶ nodes ─ interpolated ─▶ nodes ─ StackFile, every problem with its place

`${NAME}` reads the environment, and a file `.env` beside the stack file where that says nothing. What a
stack file describes is started or attached to by `bench.stack.assembled`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bench.core.errors import ScenarioError, TargetError, UsageError
from bench.core.units import quoted
from bench.registry import (
    KINDS,
    SERVICES,
    SHIPPED_STACKS,
    ServiceSpec,
    TargetOutline,
    Topology,
)
from bench.scenario.decode import placed, validated
from bench.scenario.problems import Violation, nearest
from bench.scenario.source import (
    EXTENSION,
    MapNode,
    Node,
    Place,
    Scalar,
    compose,
    file_name,
    read_text,
    without_extensions,
)
from bench.scenario.substitution import interpolated
from bench.scenario.values import node_at, nodes, plain
from bench.stack.places import (
    PLACES,
    Allow,
    EmbeddedPlace,
    SentinelPlace,
    StackContents,
    StackTarget,
    TlsFiles,
)
from bench.stack.sentinel import Endpoint, Sentinels, endpoint_of
from bench.stack.target import Target
from bench.stack.target_url import target_of
from bench.stack.tls import TlsSettings

FOLDERS = (Path("stacks"), Path("scenarios", "stacks"))
"""Where stack files are looked for by name."""


@dataclass(frozen=True)
class StackFile:
    """A stack file that can be used."""

    path: Path
    name: str
    targets: Mapping[str, StackTarget]
    described: Mapping[str, Target]
    """Those that others run, as targets to connect to; of one found through Sentinels without its address."""
    allow: Allow
    environment: Mapping[str, str]
    """The process's environment over that of the file .env: scenarios of this stack read it too."""
    warnings: tuple[str, ...] = ()

    @property
    def topology(self) -> Topology:
        """What scenarios need to know of the targets, and of their instances."""
        outlines: dict[str, TargetOutline] = {}
        for name, entry in self.targets.items():
            members = entry.members(name)
            outlines[name] = TargetOutline(entry.kind, (*entry.behind, *members), entry.place)
            for each, role in members.items():
                outlines[each] = TargetOutline(entry.kind, entry.behind, entry.place, role)
        return outlines

    def with_needs(self, names: set[str]) -> list[str]:
        """These targets and all that they stand on, each after what it needs."""
        ordered: dict[str, None] = {}

        def add(name: str) -> None:
            for needed in self.targets[name].behind:
                add(needed)
            ordered.setdefault(name)

        for name in self.targets:
            if name in names:
                add(name)
        return list(ordered)


def find_stack_file(named: str) -> Path | None:
    """The file that --stack names: a path, or the name of one in stacks/; None for a stack without a file.

    Raises UsageError for anything else.
    """
    if named in SHIPPED_STACKS:
        return None
    path = Path(named)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path
    known = {file.stem: file for folder in FOLDERS for file in sorted(folder.glob("*.y*ml"))}
    if named in known:
        return known[named]
    choices = list(dict.fromkeys([*SHIPPED_STACKS, *known]))
    meant = nearest(named, choices)
    advice = f'; did you mean "{meant}"?' if meant else ""
    raise UsageError(
        f"--stack: expected {', '.join(choices)} or the path of a stack file (.yaml), "
        f"found {quoted(named)}{advice}"
    )


def load_stack_file(path: Path) -> StackFile:
    """Read and check a stack file. Raises ScenarioError with every problem."""
    shown = file_name(path)
    if not path.exists():
        advice = f"check the path; without a file there are {', '.join(SHIPPED_STACKS)}"
        raise ScenarioError([Place(shown).problem("file", "a stack file", "no such file", advice)])
    root, problems = compose(read_text(path), shown)
    if not isinstance(root, MapNode):
        expected, advice = "a stack: key: value lines", "see docs/running.md"
        raise ScenarioError([*problems, Place(shown, 1, 1).problem("file", expected, "none", advice)])
    root = without_extensions(root)
    environment = {**_env_file(path.parent / ".env"), **os.environ}
    tree, unset = interpolated(root, environment)
    kept = f"write it into {file_name(path.parent / '.env')}"
    problems += [replace(one, advice=one.advice.replace("or write", f"or {kept}, or write")) for one in unset]
    warnings = tuple(_bare_secrets(root))
    contents = validated(StackContents, tree, problems, _contents(tree))
    described: dict[str, Target] = {}
    violations = [*_violations(contents), *_read_urls(contents, path, described)]
    found = [placed(violation, tree) for violation in violations]
    problems += [problem for problem in found if problem is not None]
    if problems:
        raise ScenarioError(sorted(set(problems)))
    return StackFile(path, contents.stack, contents.targets, described, contents.allow, environment, warnings)


def stack_schema() -> dict[str, object]:
    """The JSON Schema of stack files. Values may also be ${NAME} references, which an editor cannot check."""
    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    ours = {"title": "Holdfast stack", "patternProperties": {f"^{EXTENSION}": True}}
    return draft | StackContents.model_json_schema() | ours


def service_of(name: str, target: StackTarget) -> ServiceSpec | None:
    """The service of ours that a target which we start is; None where there is none such."""
    version = target.embedded.version if target.embedded else None
    own = SERVICES.get(name)
    if version is None and own is not None and own.kind.name == target.kind:
        return own
    fit = [service for service in SERVICES.values() if service.kind.name == target.kind]
    if version is not None:
        fit = [service for service in fit if service.version == version]
    return next((service for service in fit if service.embedded is not None), None)


def _contents(tree: Node) -> object:
    """The tree as values; those of a server's settings are text as they stand."""
    values = plain(tree)
    targets = values.get("targets")
    for name, target in targets.items() if isinstance(targets, dict) else ():
        if isinstance(target, dict) and "settings" in target:
            target["settings"] = plain(node_at(tree, ("targets", name, "settings"))[0], is_text=True)
    return values


def _violations(contents: StackContents) -> Iterator[Violation]:
    names = contents.targets
    for name, target in names.items():
        path = ("targets", name)
        places = [place for place in PLACES if getattr(target, place) is not None]
        if len(places) != 1:
            found = " and ".join(places) or "none"
            yield Violation(path, f"exactly one of {', '.join(PLACES)}", found, "say where the target is")
            continue
        if target.cluster is not None and target.kind != "redis":
            yield Violation((*path, "cluster"), "cluster only of a redis", target.kind, "name it by url")
        if target.sentinel is not None and target.kind != "redis":
            yield Violation((*path, "sentinel"), "sentinel only of a redis", target.kind, "name it by url")
        for index, other in enumerate(target.behind):
            if other not in names:
                expected = f"one of the targets {', '.join(names)}"
                yield Violation((*path, "behind", index), expected, quoted(other), "name one of those")
        if name in _stands_on(name, names):
            yield Violation((*path, "behind"), "targets that do not need this one", "a circle", "remove one")
        if target.tls is not None and places != ["url"]:
            yield Violation((*path, "tls"), "tls only with a url", "tls", "remove it")
        if target.settings and places != ["embedded"]:
            yield Violation((*path, "settings"), "settings only with embedded", "settings", "remove them")
        if target.pooler != "none" and target.kind != "postgres":
            yield Violation((*path, "pooler"), "a pooler only before a postgres", target.pooler, "remove it")
        if places[0] in ("embedded", "docker"):
            yield from (violation.under(*path) for violation in _startable(name, names, places[0]))
    for index, name in enumerate(contents.allow.faults):
        if name not in names:
            expected = f"one of the targets {', '.join(names)}"
            yield Violation(("allow", "faults", index), expected, quoted(name), "name one of those")


def _startable(name: str, targets: Mapping[str, StackTarget], place: str) -> Iterator[Violation]:
    """Why a target cannot be started by us."""
    target = targets[name]
    if target.started.proxy == "haproxy" and place == "docker":
        advice = "write proxy: nginx, of which there is an image"
        yield Violation((place, "proxy"), "nginx before containers", "haproxy", advice)
    elif target.started.proxy is not None and target.kind != "http":
        yield Violation((place, "proxy"), "a proxy only before an http", target.kind, "remove it")
    elif target.started.proxy is None and target.started.instances is not None:
        expected, advice = "a proxy that spreads the load over the instances", "add proxy: haproxy, or nginx"
        yield Violation((place, "instances"), expected, "none", advice)
    if target.embedded is not None:
        yield from (violation.under(place) for violation in _replicated(target.kind, target.embedded))
    service = service_of(name, target)
    if service is None:
        known = [each for each in SERVICES.values() if each.embedded is not None]
        expected = f"a kind and version that we can start: {', '.join(each.name for each in known)}"
        yield Violation((place,), expected, target.kind, "name a running one by its url")
        return
    if place == "docker" and (name != service.name or set(target.behind) != set(service.depends_on)):
        needs = f" behind [{', '.join(service.depends_on)}]" if service.depends_on else ""
        expected = f"the name {service.name}{needs} for a container of ours"
        advice = f"call it {service.name}, or use embedded or compose"
        yield Violation((place,), expected, quoted(name), advice)
    kinds = sorted(SERVICES[each].kind.name for each in service.depends_on)
    behind = sorted(targets[each].kind for each in target.behind if each in targets)
    if place == "embedded" and behind != kinds:
        needed = ", ".join(f"a {SERVICES[each].kind.name}" for each in service.depends_on) or "nothing"
        found = ", ".join(target.behind) or "none"
        yield Violation(("behind",), f"{needed}, which our {target.kind} service needs", found, "correct it")


def _replicated(kind: str, place: EmbeddedPlace) -> Iterator[Violation]:
    """Why a target with replicas, and what watches over them, cannot be that."""
    if place.replicas is not None and kind != "redis":
        yield Violation(("replicas",), "replicas only of a redis", kind, "remove them")
    elif place.replicas is not None and place.sentinels is None:
        advice = "add sentinels: 3; without them nothing would follow the death of the primary"
        yield Violation(("sentinels",), "Sentinels that watch over the replicas", "none", advice)
    if place.sentinels is not None and place.replicas is None:
        advice = "add replicas: 2, or remove the Sentinels"
        yield Violation(("replicas",), "replicas of which Sentinels can make a primary", "none", advice)
    if place.sentinels is not None and place.sentinels % 2 == 0:
        advice = "write 3, 5 or 7: an even number has no majority more"
        yield Violation(("sentinels",), "an odd number of Sentinels", str(place.sentinels), advice)
    if place.cluster is not None:
        if kind != "redis":
            yield Violation(("cluster",), "cluster only of a redis", kind, "remove it")
        if place.replicas is not None or place.sentinels is not None:
            expected, advice = "either a cluster, or replicas and sentinels", "say replicas inside of cluster"
            yield Violation(("cluster",), expected, "both", advice)
        if place.cluster.replicas % place.cluster.primaries:
            many = f"write {place.cluster.primaries} for one of each"
            expected = "as many replicas of each primary, or none"
            yield Violation(("cluster", "replicas"), expected, str(place.cluster.replicas), many)
    if place.standbys is not None and kind != "postgres":
        yield Violation(("standbys",), "standbys only of a postgres", kind, "remove them")
    if place.synchronous is not None and place.standbys is None:
        advice = "add standbys: 1, or remove it"
        yield Violation(("synchronous",), "standbys that a commit can wait for", "none", advice)


def _stands_on(name: str, targets: Mapping[str, StackTarget]) -> set[str]:
    """All that a target needs, directly or not."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        for needed in targets[waiting.pop()].behind:
            if needed in targets and needed not in seen:
                seen.add(needed)
                waiting.append(needed)
    return seen


def _read_urls(contents: StackContents, file: Path, described: dict[str, Target]) -> Iterator[Violation]:
    """Read the URLs, and what is found through Sentinels or nodes, into `described`."""
    shown = file_name(file)
    for name, target in contents.targets.items():
        asked = target.sentinel or target.cluster
        if asked is not None:
            is_cluster = target.cluster is not None
            path = ("targets", name, *(("cluster",) if is_cluster else ("sentinel", "addresses")))
            example = "127.0.0.1:7001" if is_cluster else "127.0.0.1:26379"
            endpoints = []
            for number, text in enumerate(asked.addresses):
                endpoint = endpoint_of(text)
                if endpoint is None or (is_cluster and ":" not in text):
                    yield Violation((*path, number), "host:port", quoted(text), f"such as {example}")
                else:
                    endpoints.append(endpoint)
            if target.sentinel is not None:
                described[name] = _behind_sentinels(name, target.sentinel, endpoints)
            elif target.cluster is not None:
                login = (target.cluster.username, target.cluster.password)
                described[name] = Target(name, "redis", "", 0, *login, nodes=tuple(endpoints))
        if target.url is None:
            continue
        try:
            read = target_of(target.url, name=name, source=shown, kind=target.kind)
        except TargetError as error:
            yield Violation(("targets", name, "url"), error.expected, error.found, error.advice)
            continue
        tls = read.tls if target.tls is None else _tls(target.tls, file.parent)
        if target.tls is not None and read.tls is None and target.kind != "postgres":
            schemes = [f"{word}://" for word, scheme in KINDS[target.kind].schemes.items() if scheme.tls]
            expected = f"a URL that asks for TLS, as {schemes[0]} does" if schemes else "no tls of this kind"
            yield Violation(
                ("targets", name, "tls"), expected, "one that does not", "correct it, or remove tls"
            )
        described[name] = replace(read, pooler=target.pooler, tls=tls)


def _behind_sentinels(name: str, place: SentinelPlace, sentinels: list[Endpoint]) -> Target:
    who = Sentinels(tuple(sentinels), place.primary, place.sentinel_username, place.sentinel_password)
    return Target(
        name,
        "redis",
        host="",
        port=0,
        username=place.username,
        password=place.password,
        db=place.database,
        sentinels=who,
    )


def _tls(files: TlsFiles, folder: Path) -> TlsSettings:
    ca, certificate, key = (
        folder / text if text is not None else None for text in (files.ca, files.certificate, files.key)
    )
    return TlsSettings(ca, certificate, key, files.server_name, files.verify)


def _bare_secrets(root: Node) -> Iterator[str]:
    """A sentence for each password that is written into the file instead of the environment."""
    for path, node in nodes(root):
        if isinstance(node, Scalar) and "${" not in node.text:
            login = node.text.partition("://")[2].rpartition("@")[0] if path[-1:] == ("url",) else ""
            if ":" in login or path[-1] in ("password", "sentinel_password"):
                place = f"{node.place.file}:{node.place.line}"
                yield (
                    f"{place}: {'.'.join(map(str, path))} holds a password; "
                    "write ${NAME} for it, and its value into the environment or .env"
                )


def _env_file(path: Path) -> dict[str, str]:
    """NAME=VALUE lines; a missing file has none. Raises ScenarioError for a line of another form."""
    if not path.is_file():
        return {}
    values: dict[str, str] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        text = line.strip().removeprefix("export ").strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier():
            # Not quoted: it may hold a password.
            place = Place(file_name(path), number, 1)
            raise ScenarioError([place.problem("line", "NAME=VALUE", "another form", "correct the line")])
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        values[name.strip()] = value
    return values
