"""Our part of Locust's web UI: the panel, its data, files of finished runs, additions to Locust's page.

The panel is a page of its own (`holdfast`), and a tab in Locust's. Files are served by the name of a run
that ended here and a name of the list below: no path comes from a request.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, abort, jsonify, request, send_file
from locust import stats

from bench.core.errors import ScenarioError
from bench.report.html.page import HERE
from bench.results import layout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.swarm import Environment
    from bench.swarm.web.form import Choice
    from bench.swarm.web.run_control import RunControl

PAGE = Path(__file__).parent / "page"
ASSETS = {
    "style.css": (HERE / "style.css", "text/css"),  # the sheet of every report
    "panel.js": (PAGE / "panel.js", "text/javascript"),
    "panel.css": (PAGE / "panel.css", "text/css"),
    "strip.js": (PAGE / "strip.js", "text/javascript"),
    "strip.css": (PAGE / "strip.css", "text/css"),
}
REPORT = "report.html"
FILES = {
    REPORT: "text/html; charset=utf-8",
    layout.VERDICT: "application/json",
    "windows.hlog": "text/plain; charset=utf-8",
    "series.csv": "text/csv; charset=utf-8",
    "resources.csv": "text/csv; charset=utf-8",
    "events.jsonl": "text/plain; charset=utf-8",
    "run.json": "application/json",
}
"""What may be had of a run, in the order in which it is offered."""

OURS_ALONE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
)
OURS_ALONE += "frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
STANDS_ALONE = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
STANDS_ALONE += "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
SHOWN_PERCENTILES = [0.5, 0.95, 0.99]
STATES_OF_AN_END = ("stopping", "cleanup", "stopped")


@dataclass(frozen=True)
class RunFiles:
    """A finished run, with those of its files that can be had."""

    run: str
    headline: str
    scenario: str
    files: list[str]


class WebPanel:
    """Adds itself to a web UI that has not begun to listen.

    check: reads a form and keeps it for the start that follows. Raises ScenarioError.
    obstacle: a sentence where no run can start now. is_idle: whether the last test has ended.
    offered: the scenarios of the form.
    """

    def __init__(
        self,
        environment: Environment,
        control: RunControl,
        check: Callable[[dict[str, str]], None],
        obstacle: Callable[[], str | None],
        is_idle: Callable[[], bool],
        offered: Sequence[Choice],
    ) -> None:
        self._environment = environment
        self._control = control
        self._check = check
        self._obstacle = obstacle
        self._is_idle = is_idle
        self._offered = offered
        self._base = getattr(environment.parsed_options, "web_base_path", "") or ""
        stats.PERCENTILES_TO_STATISTICS[:] = SHOWN_PERCENTILES
        stats.PERCENTILES_TO_CHART[:] = SHOWN_PERCENTILES
        application = environment.web_ui.app
        # Locust turns it on: a failure would then end the answer instead of becoming a plain 500.
        application.debug = False
        application.register_blueprint(self._blueprint())
        application.before_request(self._before)
        application.after_request(self._after)
        self._extend_template()

    def _extend_template(self) -> None:
        """Locust makes the data of its page anew for each request; ours are added behind it."""
        web_ui = self._environment.web_ui
        update = web_ui.update_template_args
        options = self._environment.parsed_options

        def extended() -> None:
            update()
            for name, field in web_ui.template_args["extra_options"].items():
                field["default_value"] = getattr(options, name, field["default_value"])  # as chosen last
            # The list has labels; an option may have said a name or a path. Nothing chosen: the first.
            scenario = web_ui.template_args["extra_options"]["scenario"]
            labels = [choice.label for choice in self._offered]
            meant = [
                choice.label for choice in self._offered if choice.is_meant_by(scenario["default_value"])
            ]
            scenario["default_value"] = next(iter(meant or labels), "")
            web_ui.template_args |= {
                "extended_tabs": [{"title": "Holdfast", "key": "holdfast"}],
                "missing_host_warning": False,
            }

        web_ui.update_template_args = extended

    def _blueprint(self) -> Blueprint:
        blueprint = Blueprint("holdfast", __name__, url_prefix=self._base or None)
        allowed = self._environment.web_ui.auth_required_if_enabled
        for rule, view, methods in (
            ("/holdfast", self._page, ["GET"]),
            ("/holdfast/<name>", self._asset, ["GET"]),
            ("/holdfast/state", self._state, ["GET"]),
            ("/holdfast/stop", self._stop, ["POST"]),
            ("/holdfast/run/<run>/<name>", self._file, ["GET"]),
        ):
            blueprint.add_url_rule(rule, view.__name__, allowed(view), methods=methods)
        return blueprint

    def _page(self) -> Response:
        return _with_policy(send_file(PAGE / "panel.html", "text/html", max_age=0), OURS_ALONE)

    def _asset(self, name: str) -> Response:
        if name not in ASSETS:
            abort(404)
        path, kind = ASSETS[name]
        return send_file(path, kind, max_age=0)

    def _state(self) -> Response:
        control = self._control
        runs = [
            RunFiles(
                name, run.headline, run.scenario, [file for file in FILES if (run.path / file).is_file()]
            )
            for name, run in reversed(control.finished.items())
        ]
        workers, is_ending = control.workers.state(), control.is_ending
        return jsonify(
            asdict(control.dashboard.state()) | {"runs": runs, "workers": workers, "is_ending": is_ending}
        )

    def _stop(self) -> Response:
        """End the run: in order the first time, immediately the second time."""
        self._control.stop()
        return jsonify({"is_ending": self._control.is_ending})

    def _file(self, run: str, name: str) -> Response:
        finished = self._control.finished.get(run)
        if finished is None or name not in FILES:
            abort(404)
        path = finished.path / name
        if path.is_symlink() or not path.is_file():
            abort(404)
        is_page = name == REPORT
        found = send_file(
            path.resolve(), FILES[name], as_attachment=not is_page, download_name=f"{run}-{name}", max_age=0
        )
        return _with_policy(found, STANDS_ALONE) if is_page else found

    def _before(self) -> Response | None:
        """A start is checked before Locust sees it; numbers are never older than the state beside them."""
        path = request.path.removeprefix(self._base)
        if path == "/swarm" and request.method == "POST":
            return self._refused_start()
        if path == "/stats/requests":
            view = self._environment.web_ui.app.view_functions.get("locust.request_stats")
            getattr(view, "clear_cache", lambda: None)()
        return None

    def _refused_start(self) -> Response | None:
        """None: Locust may start."""
        sentence = self._obstacle()
        if sentence is None:
            try:
                self._check(dict(request.form.items()))
            except ScenarioError as error:
                sentence = str(error)
        if sentence is None:
            return None
        return jsonify({"success": False, "message": sentence, "host": self._environment.host})

    def _after(self, response: Response) -> Response:
        path = request.path.removeprefix(self._base)
        if path == "/" and response.mimetype == "text/html":
            head = '<link rel="stylesheet" href="./holdfast/strip.css">'
            head += '<script src="./holdfast/strip.js" defer></script></head>'
            response.set_data(response.get_data(as_text=True).replace("</head>", head, 1))
        elif path == "/stats/requests" and response.mimetype == "application/json":
            response.set_data(json.dumps(self._numbers(response.get_json())))
        return response

    def _numbers(self, report: dict[str, Any]) -> dict[str, Any]:
        """Locust's numbers; "users" are lanes. Its page asks no more once it sees an end, so that waits."""
        report["user_count"] = self._environment.stats.lanes if not self._control.is_over else 0
        if report.get("state") in STATES_OF_AN_END:
            report["state"] = "stopped" if self._is_idle() else "running"
        return report


def _with_policy(response: Response, policy: str) -> Response:
    response.headers["Content-Security-Policy"] = policy
    return response
