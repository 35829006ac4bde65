"""Runs from Locust: its web UI, its master and workers, and the agents that do the work beside them.

gevent has patched all of a Locust process, and a session needs real threads. So no run happens in one: each
starts a plain child, `bench agent`, and exchanges lines of JSON (bench.swarm.messages) with it over its
standard streams. Only the modules that live in a Locust process import locust.

Locust is partly typed: what is always there while it runs is optional in its types, and its hooks have none.
Checking against them would fill our code with assertions, so here its objects are taken as they come.
"""

from typing import Any, TypeAlias

ArgumentParser: TypeAlias = Any
Environment: TypeAlias = Any
Events: TypeAlias = Any
MasterRunner: TypeAlias = Any
Message: TypeAlias = Any
Runner: TypeAlias = Any
WebUI: TypeAlias = Any
WorkerRunner: TypeAlias = Any
