"""Kill, crash, stop, restart, pause and disconnect of a target that runs in a container."""

from __future__ import annotations

from collections.abc import Callable

from chaos import containers
from chaos.containers import ContainerAct, Membership
from chaos.faults.fault import Fault
from chaos.processes import wait_until
from chaos.stamps import Proof, Stamps
from chaos.undo import Undo, connect_container, nothing, start_container, unpause_container

POLL_S = 0.01


class OnContainer(Fault):
    """One act by the container engine, or from the host, and the act that takes it back."""

    def check(self) -> None:
        """It must be opted in and running, and a crash must be able to reach its process."""
        container = self._container()
        containers.check(container)
        why = containers.why_no_crash(container) if self.plan.kind == "crash" else None
        if why is not None:
            raise self.around.refuse(
                self.plan.target, "a process that may be killed from here", why, "use kill, or run as root"
            )

    def aim(self) -> None:
        """Look at it once more."""
        containers.check(self._container())
        self._known: tuple[Membership, ...] = containers.memberships(self._container())

    def undo(self) -> Undo:
        """What takes it back, for whoever comes."""
        container = self._container()
        match self.plan.kind:
            case "pause":
                return unpause_container(container)
            case "kill" | "stop":
                return start_container(container)
            case "disconnect" if self._known:
                first = self._known[0]
                return connect_container(container, first.network, list(first.aliases))
        return nothing()

    def inject(self) -> Stamps:
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
        return self._act.stamps

    def took_effect(self) -> Proof:
        """What the engine and the kernel said."""
        return self._act.proof

    def bring_back(self) -> None:
        """After `docker kill` the restart policy does not act: it counts as a stop by hand."""
        if self.plan.kind == "kill":
            containers.start(self._container())

    def heal(self) -> Stamps | None:
        """The act that takes it back."""
        container = self._container()
        match self.plan.kind:
            case "pause":
                return containers.unpause(container).stamps
            case "stop":
                return containers.start(container).stamps
            case "disconnect":
                return containers.connect(container, self._known).stamps
        return None

    def healed(self, deadline_s: float) -> Proof:
        """It answers its protocol; that its port takes connections says nothing."""
        name, before = self.plan.target, self._act.pid_before
        is_new = self.plan.kind in ("kill", "crash", "stop", "restart")

        def is_back() -> bool:
            pid = containers.pid_of(self._container())
            return pid is not None and (pid != before or not is_new) and self.around.answers(name)

        if wait_until(is_back, deadline_s, POLL_S):
            return Proof(True, f"process {containers.pid_of(self._container())} answers")
        return Proof(False, f"{name} did not answer for {deadline_s:.0f} s")

    @property
    def mended_by(self) -> str:
        """By kind: see bring_back."""
        if self.plan.kind == "crash":
            return f"the engine's restart policy ({containers.restart_policy(self._container())})"
        return "us" if self.plan.kind != "restart" else "the engine"

    @property
    def how(self) -> str:
        """What was used."""
        words = {
            "kill": "docker kill, which counts as a stop by hand; started again by us",
            "crash": f"SIGKILL from the host to process {self._act.pid_before}",
            "stop": "docker stop; started again by us",
            "restart": "docker restart",
            "pause": "docker pause; unpaused by us",
            "disconnect": "taken off its networks; connected again by us",
        }
        return f"container {self._container()[:12]}: {words[self.plan.kind]}"

    def _container(self) -> str:
        found = self.around.container(self.plan.target)
        if found is None:
            raise self.around.refuse(self.plan.target, "its container", "none", "look at the stack")
        return found
