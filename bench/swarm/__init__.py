"""Runs out of Locust: its web UI, its master and workers, and the agents that do the work beside them.

A Locust process is patched by gevent through and through, and a session wants real threads. So no run
happens in one: each starts a plain child, `bench agent`, and speaks with it in lines of JSON over its
standard streams (bench.swarm.channel). Only the modules that live in a Locust process import locust.
"""
