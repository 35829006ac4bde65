"""The files that are written: the stack file of what was found, and a first scenario, modest and harmless."""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from bench.core.units import quoted
from bench.init.findings import Findings, FoundOperation, FoundTarget, listed, name_from

WIDTH = 110
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = ("null", "true", "false", "yes", "no", "on", "off")
_ESCAPED = {'"': '\\"', "\\": "\\\\"}


def value(text: str) -> str:
    """A text as a YAML scalar: in quotes but for a plain word."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return '"' + "".join(_ESCAPED.get(letter) or _letter(letter) for letter in text) + '"'


def _letter(letter: str) -> str:
    return letter if letter.isascii() and letter.isprintable() else f"\\U{ord(letter):08X}"


def flow(entries: Iterable[tuple[str, str]]) -> str:
    """`{key: value, ...}` of values that are YAML already."""
    return "{" + ", ".join(f"{key}: {text}" for key, text in entries) + "}"


def flow_list(texts: Iterable[str]) -> str:
    """`[value, ...]`."""
    return "[" + ", ".join(map(value, texts)) + "]"


def shown(text: str, limit: int = 200) -> str:
    """A text for a comment: on one line, printable and not long."""
    return quoted(" ".join(text.split()), limit)[1:-1]


def comment(text: str, indent: str = "") -> Iterator[str]:
    """Lines of a comment; its words stay whole."""
    mark = f"{indent}# "
    yield from textwrap.wrap(
        shown(text, 1000),
        WIDTH,
        initial_indent=mark,
        subsequent_indent=mark,
        break_long_words=False,
        break_on_hyphens=False,
    )


STACK_HEAD = """\
# yaml-language-server: $schema=../stack.schema.json
#
"""


def stack_text(findings: Findings) -> str:
    """Every target with what is known of it; what cannot be used now is a comment."""
    lines = [
        *comment(
            f"The system under test, as bench init found it in {findings.source}. Correct what is wrong: "
            "nothing here is more than a first guess. docs/running.md has all that a stack file may say."
        ),
        f"stack: {findings.name}",
        "targets:",
    ]
    for target in findings.targets:
        lines += _target(target)
    lines += _allow(findings)
    if findings.left_out:
        lines += ["", "# Not measured:"]
        lines += [line for name, why in findings.left_out for line in comment(f"- {name}: {why}")]
    return STACK_HEAD + "\n".join(lines) + "\n"


def _target(target: FoundTarget) -> Iterator[str]:
    entry = f"{target.name}: {flow(_keys(target))}"
    if target.problem:
        yield from comment(
            f"Not there when bench init asked: {target.problem}. Remove the # when it is.", "  "
        )
        yield f"  # {entry}"
        return
    if target.said:
        yield from comment(f"{target.kind}: {target.said}", "  ")
    for note in target.notes:
        yield from comment(note, "  ")
    if target.secret is not None:
        what = "URL with the password" if target.url == f"${{{target.secret}}}" else "password"
        yield from comment(
            f"Its {what} is in no file of the project: export {target.secret}, or write "
            f"{target.secret}=... into the file .env beside this one, with / ? # @ : % in a password "
            "as %2F %3F %23 %40 %3A %25.",
            "  ",
        )
    yield f"  {entry}"


def _keys(target: FoundTarget) -> Iterator[tuple[str, str]]:
    yield "kind", target.kind
    if target.service is not None:
        port = [("port", str(target.port))] if target.port else []
        yield "compose", flow([("service", value(target.service)), *port])
    else:
        yield "url", value(target.url or "")
    if target.pooler != "none":
        yield "pooler", target.pooler
    if target.behind:
        yield "behind", flow_list(target.behind)


def _allow(findings: Findings) -> Iterator[str]:
    hosts = dict.fromkeys(host for target in findings.usable for host in target.far_hosts)
    yield "allow:"
    if hosts:
        yield from comment(
            "Load goes to another machine only if it is listed here; write, if you may load "
            f"{'it' if len(hosts) == 1 else 'them'}: hosts: {flow_list(hosts)}",
            "  ",
        )
    else:
        yield "  # Machines other than this one to which load may go."
    yield "  hosts: []"
    example = next((target.name for target in findings.usable if target.driver), findings.usable[0].name)
    yield f"  # Targets that faults may hit; the scenario has an example. For instance: faults: [{example}]"
    yield "  faults: []"


SCENARIO_HEAD = """\
# yaml-language-server: $schema=scenario.schema.json
#
"""
MOST_WORKLOADS = 20
PHASES = """\
phases:
  - {name: warmup, for: 3s, measured: false}
  - {name: steady, for: 20s}       # longer, and the percentiles are known better"""
LOADS = {"redis": ("1200/s", 50, "1s"), "postgres": ("40/s", 4, "2s"), "http": ("60/s", 10, "2s")}
"""Driver -> rate, lanes and deadline of a first load."""
RULES = {
    "redis": (
        "response.p95 < 10ms warn 8ms",
        "response.p50 < 50ms",
        "errors < 1% warn 0.5%",
        "throughput >= 1000/s",
    ),
    "postgres": ("response.p95 < 100ms warn 80ms", "errors < 1% warn 0.5%", "throughput > 20/s"),
    "http": ("response.p95 < 500ms warn 400ms", "errors < 5% warn 3%", "throughput > 50/s"),
}
REDIS = """\
    # Keys of its own: they are written before the clock starts, stay, and no other is touched.
    # To remove them: redis-cli --scan --pattern 'bench:init:*' | xargs redis-cli del
    keys: {count: 1000, prefix: "bench:init:", distribution: zipf, preload: true}
    value: {bytes: 128}
    operations:
      get: {weight: 80, command: [GET, "{key}"]}
      set: {weight: 20, command: [SET, "{key}", "{value}"]}"""
POSTGRES = """\
    operations:
      # It reads no table, so it cannot harm. A query of your application says more, for example:
      # order: {weight: 5, sql: "SELECT * FROM orders WHERE id = {order}"}
      # with, above operations: parameters: {order: {from: 1, to: 10000, distribution: zipf}}
      ping: {sql: "SELECT 1"}"""


def scenario_text(findings: Findings) -> str:
    """One workload for each target that can be driven, its rules, and a fault that is not yet one."""
    driven = [target for target in findings.usable if target.driver][:MOST_WORKLOADS]
    names = [target.name for target in driven]
    lines = [
        *comment(
            f"A first load on {findings.name}, written by bench init: modest rates, and no data of yours is "
            "changed. Rates and limits are guesses that suit an ordinary service; put yours in their place. "
            "scenarios/README.md of Holdfast has the format, bench help rules the rules."
        ),
        f"scenario: {findings.name}",
        f"purpose: {listed(names)} {'answer' if len(names) > 1 else 'answers'} within the limits below",
        f"stack: stacks/{findings.name}.yaml",
        "workloads:",
    ]
    for target in driven:
        lines += _workload(target)
    lines += [PHASES, *_fault(driven, findings.name), "sla:"]
    for target in driven:
        lines += [f"  - {_load(target)}.{rule}" for rule in RULES[str(target.driver)]]
    lines.append("  # - recovery.full < 10s          # with the fault above")
    return SCENARIO_HEAD + "\n".join(lines) + "\n"


def _load(target: FoundTarget) -> str:
    return f"{target.name}_load"


def _workload(target: FoundTarget) -> Iterator[str]:
    driver = str(target.driver)
    rate, lanes, deadline = LOADS[driver]
    yield f"  - name: {_load(target)}"
    yield f"    target: {target.name}"
    yield f"    driver: {driver}"
    yield f"    lanes: {lanes:<19} # connections"
    if driver == "http":
        yield from _requests(target.operations)
    else:
        yield from (REDIS if driver == "redis" else POSTGRES).split("\n")
    yield "    arrivals: poisson          # planned ahead: they do not wait for answers"
    yield f"    rate: {rate:<20} # a guess"
    yield f"    deadline: {deadline:<16} # an answer after this is lost, and counts as this long at least"


def _requests(operations: Sequence[FoundOperation]) -> Iterator[str]:
    if any("login" in operation.reason for operation in operations):
        yield "    # For requests that ask for a login (API_TOKEN comes from the environment or .env):"
        yield '    # headers: {Authorization: "Bearer ${API_TOKEN}"}'
        yield "    # Or let each connection log in by itself, and again when its token has expired:"
        yield "    # login:"
        yield '    #   request: {method: POST, path: /login, json: {user: me, password: "${API_PASSWORD}"}}'
        yield "    #   capture: {token: {json: $.access_token}}"
        yield '    # headers: {Authorization: "Bearer {token}"}'
    yield "    operations:"
    if all(operation.reason for operation in operations):
        name = name_from("page", [operation.name for operation in operations])
        operations = [FoundOperation(name, "GET", "/", guess="it was not asked for"), *operations]
    for reason in dict.fromkeys(operation.reason for operation in operations):
        if reason:
            yield from comment(f"{reason}:", "      ")
        for operation in operations:
            if operation.reason != reason:
                continue
            if operation.guess:
                yield from comment(f"A guess: {operation.guess}. Name a page that says more.", "      ")
            entry = f"{operation.name}: {flow([('request', flow(_request(operation)))])}"
            yield f"      {'# ' if reason else ''}{entry}"


def _request(operation: FoundOperation) -> Iterator[tuple[str, str]]:
    if operation.method != "GET":
        yield "method", operation.method
    yield "path", value(operation.path.replace("${", "$${"))
    if operation.status is not None and not operation.reason:
        yield "expect", flow([("status", str(operation.status))])


def _fault(driven: Sequence[FoundTarget], name: str) -> Iterator[str]:
    target = driven[0].name
    yield from comment(
        f"How does it fare when {target} answers 10 ms late for five seconds? Remove the # of the two lines "
        f"below and of the last rule, and write in stacks/{name}.yaml under allow: faults: [{target}]. "
        "bench help faults lists what else can break."
    )
    yield "# faults:"
    yield f"#   - {{latency: {target}, at: 8s, for: 5s, delay: 10ms}}"
