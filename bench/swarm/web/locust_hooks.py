"""What makes Locust ours: its options, its form, its start and stop, its exit code.

Locust's users and spawn rates have no meaning here: a shape says how long the test lasts, and the one
user in it does nothing. The run is the agent's (bench.swarm.web.run_control).
"""

import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import gevent
from locust.runners import MasterRunner, WorkerRunner

from bench.core.errors import ExitCode, ScenarioError
from bench.swarm import ArgumentParser, Environment, Events, Runner, WebUI
from bench.swarm.distributed.relay import HostStarter, Workers, close_to_strangers
from bench.swarm.distributed.trust import WorkerSecret, trust_variables
from bench.swarm.web.auth import Guard, credentials_for, refuse
from bench.swarm.web.form import FIELDS, Choice, FilledForm, add_options, offered, read_form
from bench.swarm.web.panel import WebPanel
from bench.swarm.web.run_control import RunControl, WorkerPool
from bench.swarm.web.statistics import ExactStatistics, exact_csv

logger = logging.getLogger(__name__)
MOST_USERS_PER_S = 100.0
"""Locust warns of more."""

MAIN_PID = os.getpid()
"""The process that read the locustfile; its workers of --processes are forks of it."""

LAST_WAIT_S = 40.0
"""For a run to end in order when Locust itself ends; then the agent is let go, and ends by itself."""

READY_AGAIN_S = 3.0
"""A test that has just ended, and its workers, need a moment."""

NO_WORKERS = "workers: expected at least one that is ready, found none; start one with --worker"
UNDER_WAY = "run: expected none under way, found one; wait for its end or stop it"


def _interrupt_locust() -> None:
    """Ctrl-C, in Locust's main greenlet, which waits for it."""
    gevent.get_hub().handle_system_error(KeyboardInterrupt, None)


class LocustHooks:
    """One Locust process."""

    def __init__(self) -> None:
        self.control: RunControl | None = None
        self._offered: tuple[Choice, ...] = ()
        self._environment: Environment | None = None
        self._workers: Workers | None = None
        self._form: FilledForm | None = None
        self._has_begun = self._is_stopping = False
        self._users = 1

    def listen(self, events: Events) -> None:
        """Be called by Locust."""
        hub = gevent.get_hub()
        hub.NOT_ERROR = (*hub.NOT_ERROR, KeyboardInterrupt)  # Ctrl-C is how it is ended: Locust obeys it
        close_to_strangers(WorkerSecret().get)
        events.init_command_line_parser.add_listener(self.add_options)
        events.init.add_listener(self.init)

    def add_options(self, parser: ArgumentParser, **_: Any) -> None:
        """Locust's hook, called again for every showing of the form."""
        self._offered = self._offered or offered()
        add_options(parser, self._offered)

    def init(self, environment: Environment, runner: Runner, web_ui: WebUI | None, **_: Any) -> None:
        """Locust is about to begin."""
        if isinstance(runner, WorkerRunner):
            _be_a_worker(environment, runner)
            return
        # Python would raise it in whichever greenlet runs just then, and the one that reads the agent's
        # messages would be gone: the end of the run would never be heard of.
        gevent.signal_handler(signal.SIGINT, _interrupt_locust)
        self._environment = environment
        options = environment.parsed_options
        environment.stats = statistics = ExactStatistics()
        exact_csv()
        if isinstance(runner, MasterRunner):
            self._workers = Workers(environment, runner)
        self.control = RunControl(statistics, self._workers or WorkerPool())
        self.control.on_failure = self._tell_failure
        environment.shape_class.hooks = self
        environment.process_exit_code = int(ExitCode.OK)
        environment.events.test_start.add_listener(self._start)
        environment.events.test_stopping.add_listener(self._stop)
        environment.events.test_stop.add_listener(self._stopped)
        environment.events.quitting.add_listener(self._quit)
        if web_ui is not None:
            # Its form would take the shape away, and with it the end of the test; there is nothing to pick.
            web_ui.userclass_picker_is_active = False
            web_ui.app.wsgi_app = Guard(web_ui.app.wsgi_app, credentials_for(options, web_ui.host))
            WebPanel(environment, self.control, self._check, self._obstacle, self._is_idle, self._offered)
        if options.headless or options.autostart:
            try:
                self._check({})
            except ScenarioError as error:
                refuse(str(error), ExitCode.SCENARIO)

    def tick(self) -> tuple[int, float] | None:
        """The shape's word: how many of Locust's users, and how fast they come; None ends the test.

        One user for each worker, so that all of them begin. While the test is being stopped, Locust's own
        stop decides.
        """
        assert self.control is not None
        if not self._has_begun:
            self._users = max(len(self._workers.ready()), 1) if self._workers else 1
        elif self.control.is_over and not self._is_stopping:
            return None
        return self._users, MOST_USERS_PER_S

    def _check(self, values: dict[str, str]) -> None:
        assert self._environment is not None
        options = self._environment.parsed_options
        given = {name: str(values.get(name, getattr(options, name))) for name in FIELDS}
        self._form = read_form(given, self._offered, Path(options.out))

    def _obstacle(self) -> str | None:
        assert self.control is not None
        if not self.control.is_over:
            return UNDER_WAY
        with gevent.Timeout(READY_AGAIN_S, False):
            while not self._is_idle() or self._has_no_workers:
                gevent.sleep(0.05)
        if not self._is_idle():
            return UNDER_WAY
        return NO_WORKERS if self._has_no_workers else None

    @property
    def _has_no_workers(self) -> bool:
        return self._workers is not None and not self._workers.ready()

    def _is_idle(self) -> bool:
        """Whether Locust's test has ended too: it waits for its workers, and starts nothing meanwhile."""
        assert self.control is not None
        assert self._environment is not None
        is_watched = self._environment.runner.shape_greenlet is not None
        return self.control.is_over and not self._has_begun and not is_watched

    def _start(self, **_: Any) -> None:
        assert self.control is not None
        assert self._environment is not None
        self._has_begun = True
        try:
            if self._form is None:
                self._check({})
        except ScenarioError as error:
            self.control.refuse(str(error), int(ExitCode.SCENARIO))
            return
        assert self._form is not None
        form, self._form = self._form, None
        # Locust sends its options to the workers: a password in a URL must not reach them.
        self._environment.parsed_options.target = ""
        self.control.start(form, self._workers.ready() if self._workers else ())

    def _stop(self, **_: Any) -> None:
        """Locust wants to stop: the run ends in order first, and Locust waits for it."""
        assert self.control is not None
        self._is_stopping = True
        if not self.control.is_over and not (self._workers and self._workers.are_all_lost):
            self.control.stop()
        self.control.wait()

    def _stopped(self, **_: Any) -> None:
        self._has_begun = self._is_stopping = False

    def _quit(self, **_: Any) -> None:
        assert self.control is not None
        assert self._environment is not None
        options = self._environment.parsed_options
        was_cut_off = not self.control.is_over
        if was_cut_off:
            self.control.stop()
            if not self.control.wait(LAST_WAIT_S):
                self.control.let_go()
        if was_cut_off or options.headless or options.autostart:
            self._environment.process_exit_code = self.control.exit_code
        if options.headless and self.control.finished:
            _print_report(next(reversed(self.control.finished.values())).path)

    def _tell_failure(self, sentence: str) -> None:
        """In the log, and in Locust's own list of exceptions."""
        assert self._environment is not None
        logger.error("%s", sentence)
        self._environment.runner.log_exception("holdfast", sentence, "")


def _print_report(folder: Path) -> None:
    """What `bench run` would print."""
    from bench.judge.verdict import saved
    from bench.report import text
    from bench.report.render.text import is_colourful, is_unicode
    from bench.results.reader import Run

    verdict = saved(folder)
    if verdict is not None:
        sys.stdout.write(text.render(Run.load(folder), verdict, is_colourful(), is_unicode()))
        sys.stdout.flush()


def _be_a_worker(environment: Environment, runner: WorkerRunner) -> None:
    is_fork = os.getpid() != MAIN_PID
    may_run_files = environment.parsed_options.allow_locustfiles
    host = HostStarter(environment, runner, trust_variables(is_fork=is_fork, may_run_files=may_run_files))

    def leave(**_: Any) -> None:
        host.let_go()
        host.wait(LAST_WAIT_S)

    environment.events.quitting.add_listener(leave)
    if is_fork:
        gevent.spawn(_follow_the_parent, runner)


def _follow_the_parent(runner: WorkerRunner) -> None:
    """A worker of --processes whose master was killed ends too, and does not wait for a minute."""
    while os.getppid() == MAIN_PID:
        gevent.sleep(0.5)
    runner.quit()
