"""A scenario without mistakes, which the tests spoil in one place at a time."""

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
