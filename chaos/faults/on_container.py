"""Kill, crash, stop, restart, pause and disconnect of a target that runs in a container."""

from collections.abc import Callable

from chaos import containers
from chaos.container_view import Endpoint, victim, view
from chaos.containers import GRACE_S, ContainerAct
from chaos.faults.fault import Fault
from chaos.processes import HEALED_POLL_S, wait_until
from chaos.schedule import Proof, Timestamps
from chaos.undo import ConnectContainer, Nothing, StartContainer, Undo, UnpauseContainer

NEVER = "no"
"""The restart policy that starts nothing again."""

MOVES = ("kill", "crash", "stop", "restart", "disconnect")
"""After these the engine publishes the ports anew."""


class OnContainer(Fault):
    """One act by the container engine, or from the host, and the act that takes it back."""

    def check(self) -> None:
        """It must be opted in and running, come back where the load looks for it, and a crash must be
        able to reach its process.
        """
        hit = victim(self._container(), running=True)
        described = self.context.container(self.plan.target)
        if self.plan.kind in MOVES and described is not None and not described.is_port_fixed:
            raise self.refuse(
                f"a published port that is the same after {self.plan.kind}",
                "one that the engine chooses anew at every start",
                'name it in the compose file, as in ports: ["127.0.0.1:6379:6379"], or use pause',
            )
        why = hit.why_no_crash if self.plan.kind == "crash" else None
        if why is not None:
            raise self.refuse("a process that may be killed from here", why, "use kill, or run as root")
        why = hit.why_no_disconnect if self.plan.kind == "disconnect" else None
        if why is not None:
            raise self.refuse(
                "a container with a network of its own", why, "use pause, or a fault on the network path"
            )

    def aim(self) -> None:
        """Look at it once more."""
        hit = victim(self._container(), running=True)
        self._known: tuple[Endpoint, ...] = hit.endpoints
        self._policy = hit.restart_policy

    def undo(self) -> Undo:
        """What takes it back, for any process; also after an order that was given and not yet obeyed."""
        container = self._container()
        match self.plan.kind:
            case "pause":
                return UnpauseContainer.of(container)
            case "kill" | "crash":
                return StartContainer.of(container)
            case "stop" | "restart":
                return StartContainer.of(container).later(GRACE_S)
            case "disconnect":
                return ConnectContainer.to(container, self._known)
        return Nothing()

    def inject(self) -> Timestamps:
        """The act, by its name."""
        container = self._container()
        if self.plan.kind == "disconnect":
            self._act, self._known = containers.disconnect(container)
        else:
            acts: dict[str, Callable[[str], ContainerAct]] = {
                "kill": containers.kill,
                "crash": containers.crash,
                "stop": containers.stop,
                "restart": containers.restart,
                "pause": containers.pause,
            }
            self._act = acts[self.plan.kind](container)
        return self._act.times

    def took_effect(self) -> Proof:
        """What the engine and the kernel said."""
        return self._act.proof

    @property
    def _is_left_dead(self) -> bool:
        return self.plan.kind == "crash" and self._policy == NEVER

    def heal(self) -> Timestamps | None:
        """The act that takes it back.

        After `docker kill` the restart policy does not act: it counts as a stop by hand.
        """
        container = self._container()
        match self.plan.kind:
            case "kill":
                return containers.start(container).times
            case "crash" if self._is_left_dead:
                return containers.start(container).times
            case "pause":
                return containers.unpause(container).times
            case "stop":
                return containers.start(container).times
            case "disconnect":
                return containers.connect(container, self._known).times
        return None

    def healed(self, deadline_s: float) -> Proof:
        """It answers its protocol; that its port takes connections says nothing."""
        name, before = self.plan.target, self._act.pid_before
        is_new = self.plan.kind in ("kill", "crash", "stop", "restart")

        def is_back() -> bool:
            pid = view(self._container()).pid
            return pid is not None and (pid != before or not is_new) and self.context.answers(name)

        if not wait_until(is_back, deadline_s, HEALED_POLL_S):
            return Proof(False, f"{name} did not answer for {deadline_s:.0f} s")
        text = f"process {view(self._container()).pid} answers"
        if self.plan.kind != "disconnect":
            return Proof(True, text)
        differs = containers.endpoints_that_differ(self._container(), self._known)
        return Proof(differs is None, f"{text}, {differs or containers.ON_ALL}")

    @property
    def healed_by(self) -> str:
        """By kind: see `heal`."""
        if self.plan.kind == "crash" and not self._is_left_dead:
            return f"the engine's restart policy ({view(self._container()).restart_policy})"
        return "us" if self.plan.kind != "restart" else "the engine"

    @property
    def how(self) -> str:
        """What was used."""
        words = {
            "kill": "docker kill, which counts as a stop by hand; started again by us",
            "crash": f"SIGKILL from the host to process {self._act.pid_before}"
            + ("; started again by us, as its restart policy is no" if self._is_left_dead else ""),
            "stop": "docker stop; started again by us",
            "restart": "docker restart",
            "pause": "docker pause; unpaused by us",
            "disconnect": "taken off its networks; connected again by us",
        }
        return f"container {self._container()[:12]}: {words[self.plan.kind]}"

    def _container(self) -> str:
        described = self.context.container(self.plan.target)
        if described is None:
            raise self.refuse("its container", "none", "look at the stack")
        return described.id
