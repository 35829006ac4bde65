"""What the panel shows of a run: made from the agent's messages, as texts that a page only has to place."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from bench.core import histogram, units
from bench.core.errors import ExitCode
from bench.core.outcome import OUTCOMES
from bench.swarm.messages import RollingWindow, WindowMessage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.core.histogram import Counts
    from bench.swarm.messages import HistogramDelta


MOST = 200
TOLD = ("name", "what", "target", "service", "detector", "workload", "text", "detail")
"""Fields of an event that say what it was about, in the order of a sentence."""


class EventLog:
    """The latest events."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []

    def add(self, event: Mapping[str, Any]) -> None:
        """One entry of events.jsonl."""
        what = str(event["kind"]).replace("_", " ")
        details: dict[str, None] = {}
        for field in TOLD:
            if event.get(field) not in (None, ""):
                details[str(event[field])] = None
        at_ns, about = event["at_ns"], ", ".join(details)
        last = self._rows[-1] if self._rows else None
        if last is not None and (last["what"], last["about"]) == (what, about):
            last["times"] += 1
            last["until_ns"] = at_ns
            return
        self._rows.append({"at_ns": at_ns, "until_ns": at_ns, "what": what, "about": about, "times": 1})
        del self._rows[:-MOST]

    def rows(self) -> list[dict[str, str]]:
        """Texts, the latest first: what happened is often noticed later than what came after it."""
        return [
            {
                "at": _when(row),
                "what": row["what"] if row["times"] == 1 else f"{row['what']}, {row['times']} times",
                "about": row["about"],
            }
            for row in sorted(self._rows, key=lambda row: -row["at_ns"])
        ]


def _when(row: Mapping[str, Any]) -> str:
    first = units.format_duration_ns(row["at_ns"])
    return first if row["times"] == 1 else f"{first} to {units.format_duration_ns(row['until_ns'])}"


PERCENTS = (50, 95, 99)
KINDS = ("response", "service", "lag")
DELIVERY = "deliver"
IDLE, PREPARING, RUNNING, ENDING, OVER = "idle", "preparing", "running", "ending", "over"


class Figures:
    """Times of one kind of one workload (or of its deliveries)."""

    def __init__(self) -> None:
        self.recent = RollingWindow()
        self.measured = histogram.empty()

    def take(self, window: WindowMessage, gains: list[HistogramDelta]) -> None:
        """Add a window."""
        self.recent.add(window.start_ns, window.end_ns, gains)
        for gain in gains:
            if gain.tag.measured:
                self.measured[gain.buckets] += gain.counts

    def cells(self) -> dict[str, Any]:
        """Percentiles of the last seconds, and of all that was measured."""
        samples = int(self.measured.sum())
        return {
            "now": _percentiles(self.recent.counts()),
            "measured": _percentiles(self.measured),
            "max": units.format_duration_ns(histogram.max_ns(self.measured)) if samples else "-",
            "samples": f"{samples:,}".replace(",", " "),
        }


def _percentiles(counts: Counts) -> list[str]:
    if not counts.any():
        return ["-"] * len(PERCENTS)
    return [units.format_duration_ns(histogram.percentile_ns(counts, percent)) for percent in PERCENTS]


class WorkloadState:
    """One workload: what was planned, what is, and how it ended so far."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.name: str = entry["name"]
        self._entry = entry
        self._kinds = {kind: Figures() for kind in KINDS}
        self._deliveries = Figures()
        self._is_pubsub = str(entry["driver"]).endswith("pubsub")
        self._outcomes = {outcome.label: 0 for outcome in OUTCOMES}
        self._row: Mapping[str, Any] = {}

    def take(self, window: WindowMessage) -> None:
        """Add a window."""
        by_kind: dict[str, list[HistogramDelta]] = defaultdict(list)
        delivered: list[HistogramDelta] = []
        for gain in window.gains:
            if gain.tag.workload != self.name:
                continue
            if self._is_pubsub and gain.tag.operation == DELIVERY:
                delivered.append(gain)
                continue
            by_kind[gain.tag.kind].append(gain)
            if gain.tag.kind == "response":
                self._outcomes[gain.tag.outcome] += gain.total
        for kind, figures in self._kinds.items():
            figures.take(window, by_kind[kind])
        self._deliveries.take(window, [gain for gain in delivered if gain.tag.kind == "response"])
        self._row = next((row for row in window.series if row.get("workload") == self.name), self._row)

    def state(self) -> dict[str, Any]:
        """As JSON."""
        responses = self._kinds["response"].recent
        failed, ended = responses.total(failed=True), responses.total()
        entry = self._entry
        arrivals = (
            f"{entry['arrivals']} arrivals at {units.format_rate(entry['rate_per_s'])}"
            if entry.get("rate_per_s")
            else "closed loop"
        )
        latency = [{"kind": kind} | figures.cells() for kind, figures in self._kinds.items()]
        if self._is_pubsub:
            latency.append({"kind": "delivery"} | self._deliveries.cells())
        return {
            "name": self.name,
            "plan": f"{entry['driver']}, {arrivals}, {entry['lanes']} lanes, "
            f"deadline {units.format_duration_ns(entry['deadline_ns'])}",
            "rate": units.format_rate(ended / (responses.seconds or 1.0)) if ended else "0/s",
            "p95": self._kinds["response"].cells()["now"][1],
            "failed": units.format_ratio(failed / ended) if ended else "-",
            "connected": self._row.get("connected"),
            "in_flight": self._row.get("in_flight"),
            "latency": latency,
            "outcomes": [{"name": name, "count": count} for name, count in self._outcomes.items()],
        }


class DashboardState:
    """One run, from the order to the verdict."""

    def __init__(self) -> None:
        self.begin("", quick=False)
        self.status = IDLE

    def begin(self, scenario: str, *, quick: bool) -> None:
        """A run was ordered."""
        self.status = PREPARING
        self.scenario = scenario
        self.quick = quick
        self.purpose = ""
        self.step = ""
        self.message = ""
        self.run = ""
        self.interrupted = False
        self.verdict: dict[str, Any] | None = None
        self._rules: list[str] = []
        self._phases: list[dict[str, Any]] = []
        self._workloads: list[WorkloadState] = []
        self._happenings = EventLog()
        self._now_ns = 0
        self._phase = self._under_way = ""

    def take(self, message: Mapping[str, Any], window: WindowMessage | None = None) -> None:
        """Something that the agent said; `window` is its window, already read."""
        match message["say"]:
            case "step":
                self.step = str(message["text"])
            case "started":
                self._started(message)
            case "window" if window is not None:
                self._window(window)
            case "event":
                self._happenings.add(message)
            case "ended":
                self.interrupted = bool(message["interrupted"])
                self.step = "judging"
            case "judged":
                self.verdict = message["verdict"]
            case "failed":
                self.message = str(message["message"]).removeprefix("bench: ")
                self.interrupted |= message["exit_code"] == ExitCode.INTERRUPTED

    def over(self) -> None:
        """The agent has gone."""
        self.status = OVER
        self.step = ""

    def ending(self) -> None:
        """Somebody asked it to end."""
        if self.status in (PREPARING, RUNNING):
            self.status = ENDING

    def _started(self, message: Mapping[str, Any]) -> None:
        if self.status == PREPARING:
            self.status = RUNNING
        self.step = ""
        self.scenario, self.purpose, self.run = message["scenario"], message["purpose"], message["run"]
        self._rules = [str(rule) for rule in message["rules"]]
        self._phases = list(message["phases"])
        self._workloads = [WorkloadState(entry) for entry in message["workloads"]]
        self._phase = self._phases[0]["name"] if self._phases else ""

    def _window(self, window: WindowMessage) -> None:
        self._now_ns = window.end_ns
        self._phase = next((p["name"] for p in self._phases if window.end_ns < p["end_ns"]), "drain")
        self._under_way = window.under_way
        for workload in self._workloads:
            workload.take(window)

    @property
    def headline(self) -> str:
        """The state in a few words."""
        if self.verdict is not None:
            return str(self.verdict["status"])
        if self.status != OVER:
            return self.status
        return "interrupted" if self.interrupted else "failed" if self.message else "ended"

    def state(self) -> dict[str, Any]:
        """As JSON; every value is text or a list of texts to be placed, none of it HTML."""
        total_ns = self._phases[-1]["end_ns"] if self._phases else 0
        left_ns = max(total_ns - self._now_ns, 0) if self.status != OVER else 0
        return {
            "status": self.status,
            "headline": self.headline,
            "message": self.message,
            "step": self.step,
            "scenario": self.scenario,
            "purpose": self.purpose,
            "quick": self.quick,
            "run": self.run,
            "phase": self._phase,
            "left": f"{left_ns / 1e9:.0f} s",
            "done": min(self._now_ns / total_ns, 1.0) if total_ns else 0.0,
            "under_way": self._under_way if self.status != OVER else "",
            "phases": [self._shown(phase, total_ns) for phase in self._phases],
            "workloads": [workload.state() for workload in self._workloads],
            "rules": self._rules,
            "events": self._happenings.rows(),
            "verdict": _verdict(self.verdict) if self.verdict else None,
        }

    def _shown(self, phase: Mapping[str, Any], total_ns: int) -> dict[str, Any]:
        length_ns = phase["end_ns"] - phase["start_ns"]
        return {
            "name": phase["name"],
            "measured": phase["measured"],
            "lasts": units.format_duration_ns(length_ns),
            "share": length_ns / total_ns if total_ns else 0.0,
            "is_now": self.status != OVER and phase["start_ns"] <= self._now_ns < phase["end_ns"],
        }


def _verdict(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """Status and checks with their figures as people write them; findings about the run come first."""
    checks: Sequence[Mapping[str, Any]] = verdict["checks"]
    return {
        "status": verdict["status"],
        "checks": [
            {
                "status": check["status"],
                "rule": check["rule"],
                "is_rule": not check["metric"].startswith("validity."),
                "observed": "-"
                if check["observed"] is None
                else units.format_quantity(check["observed"], check["unit"] or "count"),
                "because": check["because"],
                "advice": check["advice"] or "",
            }
            for check in checks
        ],
    }
