"""Who is what in a target of several servers, now: asked of the system itself."""

from __future__ import annotations

from collections.abc import Mapping

from bench.registry import PRIMARY, REPLICA, SENTINEL, STANDBY, Topology, roles_of
from bench.stack.cluster import FAILED
from bench.stack.postgres_servers import primary_among, states_of
from bench.stack.sentinel import NotLocated
from bench.stack.target import Target

LOCATE_S = 1.0


def current_roles(name: str, targets: Mapping[str, Target], topology: Topology) -> dict[str, str]:
    """The processes of a target and the role of each; a server of whom nobody says it is left out.

    Of a Redis the primary is the one that its Sentinels name, whatever an old one thinks of itself; of a
    cluster each server that serves slots; of a Postgres that of the newest timeline.
    """
    members = roles_of(name, topology)
    if targets[name].nodes:
        return _of_cluster(targets[name], {each: targets[each] for each in members if each in targets})
    if STANDBY in members.values():
        return _of_postgres({each: targets[each] for each in members if each in targets})
    try:
        primary = targets[name].located(LOCATE_S)
    except NotLocated:
        return {each: role for each, role in members.items() if role == SENTINEL}
    servers = {
        each: PRIMARY if targets[each].address == primary.address else REPLICA
        for each, role in members.items()
        if role != SENTINEL
    }
    return {each: servers.get(each, SENTINEL) for each in members}


def _of_cluster(cluster: Target, servers: Mapping[str, Target]) -> dict[str, str]:
    """By the view of a node that sees most of the others: one that has failed has no role."""
    try:
        view = cluster.cluster_view(LOCATE_S)
    except NotLocated:
        return {}
    roles = {node.endpoint: PRIMARY for node in view.primaries if FAILED not in node.flags}
    roles |= {node.endpoint: REPLICA for node in view.replicas if FAILED not in node.flags}
    found = {name: roles.get((server.host, server.port)) for name, server in servers.items()}
    return {name: role for name, role in found.items() if role is not None}


def _of_postgres(servers: Mapping[str, Target]) -> dict[str, str]:
    states = states_of(servers, LOCATE_S)
    primary = primary_among(states)
    return {
        name: PRIMARY if name == primary else STANDBY
        for name, state in states.items()
        if name == primary or not state.is_primary
    }
