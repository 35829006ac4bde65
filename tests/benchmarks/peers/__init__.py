"""Other tools and ours, side by side on one machine: `nox -s peers`.

    python -m tests.benchmarks.peers --install              all subjects, 5 rounds, each turn about 3 s
    python -m tests.benchmarks.peers http_static --rounds 1 --seconds 1 --only ours --only wrk

A subject is one server of the embedded stack (or an nginx of our own), one task over a closed loop, and
what ours must reach:

    redis_get        GET of preloaded keys, 50 connections: redis-benchmark, redis-py, Locust with redis-py
    postgres_select  pgbench's prepared SELECT, 8 connections: pgbench -M prepared -j 1, asyncpg
    postgres_tpcb    pgbench's transaction of seven statements, 8 connections: the same
    http_static      a 612-byte answer of nginx, 50 connections: wrk -t1, hey, aiohttp
    http_api         a cached item of the reference API, 50 connections: the same

Every contestant does the task once in each round. The order is drawn from the seed and rotated from
round to round, so that nobody always runs first or always after the same neighbour's heat. Ratios are
taken pair by pair within a round, because the machine of a round is nearer to itself than to the
machine a minute later; what is judged is the median of the rounds.

Each tool reports its own throughput and latency, by its own clock and its own idea of when a request
begins. Little's law tells how honest that is: in a closed loop throughput x mean latency is the number
of connections. Less means that requests spent time which the tool did not count (redis-benchmark takes
its stamp when it prepares the next request, and does not see how long the reply before that waited to
be read). For ours a gap above 3 % fails the comparison. Where a tool divides the time by the requests
and calls that its latency, as pgbench does here, the column stays empty.

The server is a witness beside the tools' own words. Redis counts GETs that found nothing; PostgreSQL
counts its transactions and its balances must be the sums of the deltas; nginx counts requests. Ours
must agree with the server's count to the unit. A turn with less work than was claimed, an error or no
answer at all drops the contestant.

Parts, each to be read alone:
    contestant.py       what the comparison needs of a tool: name, available(), run(seconds) -> Result
    ours.py pgbench.py wrk.py hey.py ...      one contestant each; *_process.py run in their interpreters
    task.py             what ours needs of a task: key_space.py, sql_task.py, http_task.py
    subject.py          what the comparison needs of a subject; subjects.py lists them, one file each
    transaction_count.py nginx.py             the witnesses that need more than a question
    comparison.py       the loop over rounds; rounds.py the arithmetic; verdict.py the criteria
    session.py          subject after subject; table.py what is printed; record.py what is kept

Exit codes: 0 every criterion is met, 1 one is not, 2 usage, 4 a server cannot be started, 5 a contestant
or a server's program is missing or a criterion could not be judged, 130 interrupted (finished rounds are
kept).

This package measures competitors, so it may start them: `locust_get_user.py` imports locust, and the
files named *_process.py import a client library each, but other processes run these and no module
imports them.
"""
