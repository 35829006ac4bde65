"""`bench stack up|status|down`, as a user types it: each command is a process of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bench.stack.probes.redis import probe_redis
from bench.stack.services.loopback_port import free_loopback_port
from bench.stack.stack import Stack, open_stack
from bench.stack.supervisor.processes import ProcessIdentity
from tests.helpers.processes import DEADLINE_S, ROOT, is_running
from tests.helpers.waiting import eventually

VARIABLES = ("REDIS_URL", "DATABASE_URL", "DATABASE_16_URL", "API_URL", "HOLDFAST_SERVICES")


class User:
    """Somebody with a state folder of his own who types commands."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        (folder / "tmp").mkdir()
        clean = {key: value for key, value in os.environ.items() if key not in VARIABLES}
        self.environment = clean | {
            "XDG_STATE_HOME": str(self.state),
            "TMPDIR": str(folder / "tmp"),
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
        }
        self.folder = folder

    def begin(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        program = "import signal, sys; from bench.cli.main import main\n"
        # A shell that runs the tests in the background has it ignored, and that is inherited.
        program += "signal.signal(signal.SIGINT, signal.default_int_handler); main()"
        return subprocess.Popen(
            [sys.executable, "-c", program, "stack", *words],
            cwd=self.folder,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def types(self, *words: str, code: int = 0, **environment: str) -> str:
        """One command to its end; both of its outputs."""
        with self.begin(*words, **environment) as process:
            out, err = process.communicate(timeout=60)
        assert process.returncode == code, out + err
        return out + err

    def up(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.types("up", "redis", "--json"))
        return found

    def status(self, *words: str, code: int = 0, **environment: str) -> dict[str, dict[str, Any]]:
        answer = json.loads(self.types("status", "--json", *words, code=code, **environment))
        return {row["name"]: row for row in answer["targets"]}

    @property
    def state_file(self) -> Path:
        return self.state / "holdfast" / "stack.json"

    def pids(self) -> list[int]:
        """Keeper, supervisor and server."""
        state = json.loads(self.state_file.read_text())
        return [
            state["keeper"]["pid"],
            *(e[key] for e in state["described"] for key in ("supervisor_pid", "pid")),
        ]

    def has_left_nothing(self) -> bool:
        return not self.state_file.exists() and not any((self.folder / "tmp").iterdir())


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    someone = User(tmp_path)
    yield someone
    someone.types("down")


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user whose stack is up."""
    someone = User(tmp_path_factory.mktemp("settled"))
    someone.up()
    yield someone
    someone.types("down")


@pytest.fixture
def as_settled(settled: User, monkeypatch: pytest.MonkeyPatch) -> User:
    """This process has the user's settled environment."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(settled.state))
    return settled


def test_a_stack_outlives_its_command_and_ends_when_told(user: User) -> None:
    text = user.types("up", "redis")
    (row,) = user.status().values()
    assert (row["kind"], row["state"]) == ("redis", "up")
    assert row["address"] in text
    assert f"export REDIS_URL=redis://{row['address']}\n" in text
    pids = user.pids()
    assert all(map(is_running, pids))
    assert user.types("down") == "The stack has ended.\n"
    assert not any(map(is_running, pids))
    assert user.has_left_nothing()
    assert user.types("down") == "No stack is up.\n"
    assert "bench stack up starts one" in user.types("status", code=4)


def test_the_state_is_for_its_user_alone(settled: User) -> None:
    assert settled.state_file.stat().st_mode & 0o077 == 0
    assert settled.state_file.parent.stat().st_mode & 0o077 == 0


def test_a_stack_that_is_up_is_not_started_again(settled: User) -> None:
    pids = settled.pids()
    assert settled.types("up", "redis").startswith("The stack is up already.")
    assert settled.types("up").startswith("The stack is up already.")
    assert settled.pids() == pids


def test_a_service_that_the_stack_lacks_is_told(settled: User) -> None:
    text = settled.types("up", "redis", "postgres", code=2)
    assert "without postgres" in text
    assert "bench stack down" in text


def test_a_service_that_does_not_exist_is_told(user: User) -> None:
    assert "expected services among redis, postgres" in user.types("up", "search", code=2)


def test_a_state_folder_that_cannot_be_made_is_told(user: User) -> None:
    (user.folder / "file").touch()
    text = user.types("up", "redis", code=2, XDG_STATE_HOME=str(user.folder / "file"))
    assert "set XDG_STATE_HOME" in text


def test_the_export_lines_are_for_a_shell(settled: User) -> None:
    script = 'eval "$("$0" -m bench stack up --export)" && printf %s "$REDIS_URL"'
    done = subprocess.run(
        ["/bin/sh", "-c", script, sys.executable],
        env=settled.environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == settled.up()["environment"]["REDIS_URL"]


def test_the_table_has_no_colour_where_it_is_no_terminal(settled: User) -> None:
    text = settled.types("status")
    assert text.startswith("name ")
    assert "\x1b" not in text


def test_status_shows_each_target_once_and_further_ones(settled: User) -> None:
    address = settled.up()["services"][0]["address"]
    dead = f"tcp://127.0.0.1:{free_loopback_port()}"
    rows = settled.status(
        f"again=redis://{address}",
        code=4,
        REDIS_URL=f"redis://{address}",
        HOLDFAST_SERVICES=f"door={dead}",
    )
    assert [(name, row["state"]) for name, row in rows.items()] == [
        ("redis", "up"),
        ("door", "down"),
        ("again", "up"),
    ]


def test_status_needs_no_stack(user: User, settled: User) -> None:
    url = settled.up()["environment"]["REDIS_URL"]
    assert user.status(REDIS_URL=url)["redis"]["state"] == "up"
    assert user.status(f"cache={url}")["cache"]["state"] == "up"


def test_a_wrong_url_is_refused_without_its_secret(user: User) -> None:
    for entry in ("x=ftp://u:guess-4711@host", "redis://:guess-4711@host"):
        text = user.types("status", entry, code=4)
        assert "target" in text
        assert "guess-4711" not in text


def test_when_the_keeper_is_killed_its_services_end_and_the_commands_say_so(user: User) -> None:
    user.up()
    daemon, *others = user.pids()
    os.kill(daemon, signal.SIGKILL)
    eventually(lambda: not any(map(is_running, others)), "the services have ended")
    text = user.types("status", code=4)
    assert "down" in text
    assert "was killed" in text
    assert "was killed" in user.types("down")
    assert user.types("down") == "No stack is up.\n"
    assert user.has_left_nothing()


def test_after_a_killed_keeper_a_stack_can_be_started(user: User) -> None:
    user.up()
    old = user.pids()
    os.kill(old[0], signal.SIGKILL)
    user.up()
    assert not any(map(is_running, old))
    assert all(map(is_running, user.pids()))


@pytest.mark.long
def test_down_ends_a_keeper_that_is_stopped(user: User) -> None:
    user.up()
    pids = user.pids()
    os.kill(pids[0], signal.SIGSTOP)
    assert user.types("down") == "The stack has ended.\n"
    assert not any(map(is_running, pids))


@pytest.mark.long
def test_down_kills_no_stranger_with_the_keepers_number(user: User) -> None:
    user.up()
    state = json.loads(user.state_file.read_text())
    user.types("down")
    with subprocess.Popen(["sleep", "600"]) as stranger:
        identity = ProcessIdentity.of(stranger.pid)
        assert identity is not None
        state["keeper"] = {**asdict(identity), "start_ticks": identity.start_ticks - 1}
        state["supervisors"] = [state["keeper"]]
        user.state_file.write_text(json.dumps(state))
        assert "was killed" in user.types("down")
        assert stranger.poll() is None
        stranger.kill()


def test_of_two_that_start_a_stack_at_once_one_does(user: User) -> None:
    both = [user.begin("up", "redis") for _ in range(2)]
    outcomes = [(process.communicate(timeout=60), process.returncode) for process in both]
    codes = sorted(code for _, code in outcomes)
    # The later one may come when the first is up: then it says so and ends well.
    assert codes in ([0, 0], [0, 2]), outcomes
    assert len(user.status()) == 1
    pids = user.pids()
    user.types("down")
    assert not any(map(is_running, pids))
    assert user.has_left_nothing()


def test_a_server_that_cannot_start_is_told_and_nothing_stays(
    user: User, script: Callable[[str], str]
) -> None:
    text = user.types("up", "redis", code=4, HOLDFAST_REDIS_SERVER=script("echo no room >&2; exit 3"))
    assert "no room" in text
    assert "stack-logs" in text
    assert "No stack is up" in user.types("down")
    assert user.has_left_nothing()


def test_ctrl_c_while_the_stack_starts_leaves_nothing(user: User, script: Callable[[str], str]) -> None:
    marker = user.folder / "started"
    server = script(f"echo $$ > {marker}.new && mv {marker}.new {marker}; sleep 600")
    with user.begin("up", "redis", HOLDFAST_REDIS_SERVER=server) as process:
        pid = int(eventually(lambda: marker.exists() and marker.read_text(), "the server was started"))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    assert not is_running(pid)
    assert user.has_left_nothing()


@contextlib.contextmanager
def a_run(tmp_path: Path) -> Iterator[Stack]:
    with open_stack(None, {"redis"}, tmp_path) as stack:
        yield stack


def test_a_run_uses_the_stack_that_is_up_and_leaves_it_up(as_settled: User, tmp_path: Path) -> None:
    pids = as_settled.pids()
    for _ in range(2):
        with a_run(tmp_path) as stack:
            (described,) = stack.describe()
            target = stack.targets()["redis"]
            assert stack.kind == "embedded"
            assert target.managed
            assert [described.supervisor_pid, described.pid] == pids[1:]
            assert [row.state for row in stack.health()] == ["up"]
            assert probe_redis(target).process_id == described.pid
    assert as_settled.pids() == pids
    assert all(map(is_running, pids))


def test_a_run_sees_what_happens_to_a_service_of_the_stack_that_is_up(user: User, tmp_path: Path) -> None:
    user.up()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("REDIS_URL", raising=False)
        patch.setenv("XDG_STATE_HOME", str(user.state))
        with a_run(tmp_path) as stack:
            killed = stack.describe()[0].pid
            os.kill(killed, signal.SIGKILL)
            pid = eventually(
                lambda: (now := stack.describe()[0].pid) != killed and now, "the server was restarted"
            )
            assert is_running(pid)
            assert [event.kind for event in stack.events()] == ["started", "died", "restarted"]


def test_the_urls_of_the_stack_that_is_up_mean_that_stack(
    as_settled: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = as_settled.up()["environment"]["REDIS_URL"]
    monkeypatch.setenv("REDIS_URL", url)
    with a_run(tmp_path) as stack:
        assert stack.kind == "embedded"
    monkeypatch.setenv("REDIS_URL", f"{url}/2")
    with a_run(tmp_path) as stack:
        assert stack.kind == "external"


def test_a_run_that_needs_more_or_asks_for_it_starts_its_own(as_settled: User, tmp_path: Path) -> None:
    mine = as_settled.pids()[2]
    assert open_stack(None, {"redis", "postgres"}, tmp_path).describe() == []
    with open_stack("embedded", {"redis"}, tmp_path) as stack:
        assert stack.describe()[0].pid not in (None, mine)
