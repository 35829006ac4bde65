"""Runs from Locust: its web UI, its master and workers, and the agents that do the work beside them.

gevent has patched all of a Locust process, and a session needs real threads. So no run happens in one: each
starts a plain child, `bench agent`, and exchanges lines of JSON (bench.swarm.messages) with it over its
standard streams. Only the modules that live in a Locust process import locust.
"""
