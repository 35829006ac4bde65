"""Locust's objects, as our annotations name them.

Locust is partly typed: what is always there while it runs is optional in its types, and its hooks have
none. Checking against them would fill our code with assertions, so here they are taken as they come.
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
