"""Live metrics and traces of the run in progress, for tools that a team has anyway.

    session ─▶ Inbox ─▶ Figures ─▶ families ─▶ Prometheus (asked by HTTP), OTLP (sent to a collector)

An exporter is a watcher (bench.run.plugins): the session's thread only puts what it sees into an inbox,
everything else happens in a thread of the exporter's own. Numbers are those of the run folder.
"""
