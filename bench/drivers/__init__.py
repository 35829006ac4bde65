"""What to send to which kind of server: a folder or module per driver, which `bench/registry` names.

A driver turns a workload into a `Program`, connects and greets one lane, and prepares the target's
data. It is imported when a scenario names it.
"""
