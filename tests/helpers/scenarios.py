"""Scenarios that tests of several packages load, spoil in one place at a time, or run."""

GOOD = """\
scenario: example
purpose: shows that a good file is taken as it is
workloads:
  - name: cache
    target: redis
    driver: redis
    lanes: 50
    keys: {count: 1000}
    value: {bytes: 128}
    operations:
      get: {weight: 80, command: [GET, "{key}"]}
      set: {weight: 20, command: [SET, "{key}", "{value}"]}
    arrivals: poisson
    rate: 1200/s
    deadline: 1s
phases:
  - {name: warmup, for: 3s, measured: false}
  - {name: steady, for: 30s}
sla:
  - cache.response.p95 < 10ms warn 8ms
"""
"""Without mistakes, with comfortable values: for what is only read."""

CACHE = """\
  - name: cache
    target: redis
    driver: redis
    lanes: 8
    keys: {count: 1000, preload: true}
    value: {bytes: 64}
    operations:
      get: {weight: 80, command: [GET, "{key}"]}
      set: {weight: 20, command: [SET, "{key}", "{value}"]}
"""
"""A workload on an embedded Redis, without its arrivals and their deadline."""

BRIEF = f"""\
scenario: brief
purpose: A brief run against Redis
workloads:
{CACHE}    arrivals: poisson
    rate: 500/s
    deadline: 5s
phases:
  - {{name: warmup, for: 500ms, measured: false}}
  - {{name: steady, for: 2s}}
sla:
  - cache.response.p95 < 3s
  - cache.errors < 1%
"""
"""For what is run: its rules hold on every machine."""
