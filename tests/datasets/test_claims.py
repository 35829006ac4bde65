"""Two runs on one database: what one of them uses, the other neither replaces nor drops."""

import pytest

from bench.core.errors import TargetError
from bench.datasets import DataSet, claim_on, drop, load
from bench.stack.target import Target
from tests.datasets.asking import ask

ONCE = DataSet("tpcb")
KEPT = DataSet("tpcb", keep=True)


def tables(target: Target) -> int:
    return int(str(ask(target, "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'pgbench_%'")[0][0]))


def test_a_set_in_use_is_not_loaded_anew(target_18: Target, small_sets: None) -> None:
    claim = claim_on(target_18, ONCE)
    assert claim is not None
    load(target_18, ONCE, claim=claim)
    ask(target_18, "UPDATE pgbench_branches SET bbalance = 7")
    with pytest.raises(TargetError, match="another run at work on it"):
        load(target_18, ONCE)
    assert ask(target_18, "SELECT bbalance FROM pgbench_branches") == [(7,)]
    claim.give_back()
    load(target_18, ONCE)


def test_two_runs_share_a_kept_set_and_the_last_one_drops_it(target_18: Target, small_sets: None) -> None:
    claims = [claim_on(target_18, KEPT), claim_on(target_18, KEPT)]
    first, second = (claim for claim in claims if claim is not None)
    load(target_18, KEPT, claim=first)
    assert load(target_18, KEPT, claim=second).reused
    first.give_back()
    with pytest.raises(TargetError, match="so that it can be dropped"):
        drop(target_18, ONCE)
    assert tables(target_18) == 4
    second.give_back()
    drop(target_18, ONCE)
    assert tables(target_18) == 0


def test_a_claim_that_the_server_ended_holds_nobody_up(target_18: Target, small_sets: None) -> None:
    claim = claim_on(target_18, ONCE)
    assert claim is not None
    load(target_18, ONCE, claim=claim)
    ask(
        target_18,
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    claim.give_back()
    drop(target_18, ONCE)
    assert tables(target_18) == 0
