"""The stack file of what was found."""

from collections.abc import Iterator

from bench.init.findings import Findings, FoundTarget
from bench.init.yaml_text import comment, flow, flow_list, value

HEAD = """\
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
    return HEAD + "\n".join(lines) + "\n"


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
