"""Other tools and ours, side by side on one machine: `python -m bench.peers`, which `nox -s peers` runs.

    python -m bench.peers --install              all contestants, 5 rounds of about 3 s each
    python -m bench.peers --rounds 1 --seconds 1 --only ours --only redis-benchmark

One server of the embedded stack, one task (now: GET of preloaded keys, 50 connections, closed loop,
128-byte values, 100,000 keys), and every contestant does it once in each round. The order is drawn
from the seed and rotated from round to round, so that nobody always runs first or always after the
same neighbour's heat. Ratios are taken pair by pair within a round, because the machine of a round
is nearer to itself than to the machine a minute later; what is judged is the median of the rounds.

Each tool reports its own throughput and latency, by its own clock and its own idea of when a request
begins. Little's law tells how honest that is: in a closed loop throughput x mean latency is the number
of connections. Less means that requests spent time which the tool did not count (redis-benchmark takes
its stamp when it prepares the next request, and does not see how long the reply before that waited to
be read). For ours a gap above 3 % fails the comparison.

Two witnesses stand beside the tools' own words: the server counts GETs that found nothing, and the
round fails if there is one; and a contestant that answers with an error or not at all drops out.

Parts, each to be read alone:
    contestant.py       what the comparison needs of a tool: name, available(), run(seconds) -> Result
    ours.py redis_benchmark.py redis_py.py locust_user.py       one contestant each
    redis_get.py        the subject: its server, its keys, its contestants, its criteria
    comparison.py       the loop over rounds; rounds.py the arithmetic; verdict.py the criteria
    table.py record.py  what is printed, what is kept

Another subject (pgbench for SELECT, wrk and hey for HTTP) is another module beside redis_get.py that
opens its server and lists its contestants and criteria; the rest knows no Redis.

Exit codes: 0 every criterion is met, 1 one is not, 2 usage, 4 the server cannot be started, 5 a
contestant is missing or a criterion could not be judged, 130 interrupted (finished rounds are kept).

This package measures competitors, so it may start them: `locust_get_user.py` imports locust and
`redis_py_process.py` redis-py, but both are files that other processes run and no module imports.
"""
