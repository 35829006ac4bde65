"""The last section of a pytest with scenarios: each run's verdict and folder, and what came near a limit.

Read from the reports, which reach the terminal's process from xdist's too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def write_summary(terminal: pytest.TerminalReporter) -> None:
    """Write the section, if any scenario was run."""
    runs: dict[str, dict[str, str]] = {}
    warnings: dict[str, list[dict[str, str]]] = {}
    for reports in terminal.stats.values():
        for report in reports:
            if getattr(report, "when", None) != "call":
                continue
            known = {str(name): str(value) for name, value in report.user_properties}
            if "holdfast_verdict" not in known:
                continue
            runs[known["run_folder"]] = known
            if known["status"] == "WARN":
                warnings.setdefault(known["run_folder"], []).append(known)
    if not runs:
        return
    terminal.section("holdfast")
    for folder, known in sorted(runs.items()):
        terminal.write_line(f"{known['holdfast_verdict']:<12} {known['holdfast_scenario']}  {folder}")
        for warning in warnings.get(folder, []):
            terminal.write_line(f"  WARN  {warning['rule']}: {warning['because']}", yellow=True)
            if "advice" in warning:
                terminal.write_line(f"        -> {warning['advice']}")
