"""The TPC-B-like set: the tables of `pgbench -i`, row for row.

Same names, columns, types, fill factor, primary keys and row counts (PostgreSQL's manual,
pgbench: what its initialization makes), so that `pgbench -n` runs on ours and figures compare.
"""

from psycopg import Connection

from bench.datasets.dataset import BuiltIn, Invariant, accounts_of, branches_of, tellers_of

CREATE = """
CREATE TABLE public.pgbench_history (
    tid integer, bid integer, aid integer, delta integer, mtime timestamp without time zone, filler char(22)
);
CREATE TABLE public.pgbench_tellers (
    tid integer NOT NULL, bid integer, tbalance integer, filler char(84)
) WITH (fillfactor=100);
CREATE TABLE public.pgbench_accounts (
    aid integer NOT NULL, bid integer, abalance integer, filler char(84)
) WITH (fillfactor=100);
CREATE TABLE public.pgbench_branches (
    bid integer NOT NULL, bbalance integer, filler char(88)
) WITH (fillfactor=100);
"""

FINISH = """
ALTER TABLE public.pgbench_branches ADD PRIMARY KEY (bid);
ALTER TABLE public.pgbench_tellers ADD PRIMARY KEY (tid);
ALTER TABLE public.pgbench_accounts ADD PRIMARY KEY (aid);
"""

FIGURES = """
SELECT b.rows AS branches, t.rows AS tellers, a.rows AS accounts, h.rows AS history,
       a.keys AS account_keys, a.branches AS account_branches, t.keys AS teller_keys,
       b.balance AS branch_balance, t.balance AS teller_balance, a.balance AS account_balance
FROM (SELECT count(*) AS rows, sum(bbalance) AS balance FROM public.pgbench_branches) b,
     (SELECT count(*) AS rows, sum(tid) AS keys, sum(tbalance) AS balance FROM public.pgbench_tellers) t,
     (SELECT count(*) AS rows, sum(aid) AS keys, sum(bid) AS branches, sum(abalance) AS balance
      FROM public.pgbench_accounts) a,
     (SELECT count(*) AS rows FROM public.pgbench_history) h
"""


def fill(connection: Connection, scale: int) -> dict[str, int]:
    """COPY branches, tellers and accounts; history begins empty.

    FREEZE is allowed because the tables are of this transaction; it leaves nothing to vacuum.
    """
    with connection.cursor() as cursor:
        with cursor.copy("COPY public.pgbench_branches (bid, bbalance) FROM STDIN WITH (FREEZE)") as copy:
            copy.write("".join(f"{bid}\t0\n" for bid in range(1, scale + 1)))
        with cursor.copy("COPY public.pgbench_tellers (tid, bid, tbalance) FROM STDIN WITH (FREEZE)") as copy:
            copy.write(
                "".join(f"{tid + 1}\t{tid // tellers_of(1) + 1}\t0\n" for tid in range(tellers_of(scale)))
            )
        with cursor.copy("COPY public.pgbench_accounts FROM STDIN WITH (FREEZE)") as copy:
            for branch in range(scale):
                copy.write(_accounts(branch))
    return known_figures(scale)


def known_figures(scale: int) -> dict[str, int]:
    """What the figures are right after the load."""
    accounts, tellers, branches = accounts_of(scale), tellers_of(scale), branches_of(scale)
    return {
        "branches": branches,
        "tellers": tellers,
        "accounts": accounts,
        "history": 0,
        "account_keys": accounts * (accounts + 1) // 2,
        "account_branches": accounts_of(1) * scale * (scale + 1) // 2,
        "teller_keys": tellers * (tellers + 1) // 2,
        "branch_balance": 0,
        "teller_balance": 0,
        "account_balance": 0,
    }


def invariants(scale: int) -> tuple[Invariant, ...]:
    """TPC-B's consistency: every balance is the sum of the deltas in the history that name its row."""
    total = "SELECT (SELECT coalesce(sum(delta), 0) FROM public.pgbench_history),"
    parts = (
        ("branches", "bbalance", "bid", branches_of(scale)),
        ("tellers", "tbalance", "tid", tellers_of(scale)),
        ("accounts", "abalance", "aid", accounts_of(scale)),
    )
    found = []
    for table, balance, key, rows in parts:
        name = f"pgbench_{table}"
        found += [
            Invariant(f"rows of {name}", f"SELECT {rows}, count(*) FROM public.{name}"),  # noqa: S608 - constants
            Invariant(
                f"sum({balance}) as sum(pgbench_history.delta)",
                f"{total} coalesce(sum({balance}), 0) FROM public.{name}",
            ),
            Invariant(
                f"rows whose {balance} is not the sum of their history",
                f"SELECT 0, count(*) FROM public.{name} full join"  # noqa: S608 - constants
                f" (SELECT {key}, sum(delta) AS delta FROM public.pgbench_history GROUP BY {key}) history"
                f" USING ({key}) WHERE coalesce({balance}, 0) <> coalesce(delta, 0)",
            ),
        ]
    return tuple(found)


def _accounts(branch: int) -> str:
    """Rows of one branch, as text of COPY: aid, bid, a balance of 0, and a filler of blanks."""
    end = f"\t{branch + 1}\t0\t\n"
    rows = accounts_of(1)
    return end.join(map(str, range(branch * rows + 1, (branch + 1) * rows + 1))) + end


TPCB = BuiltIn(
    name="tpcb",
    schema="public",
    tables=("pgbench_history", "pgbench_tellers", "pgbench_accounts", "pgbench_branches"),
    create=CREATE,
    fill=fill,
    finish=FINISH,
    figures=FIGURES,
    invariants=invariants,
    complete=lambda _: (),
)
