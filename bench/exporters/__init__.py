"""Live metrics and traces of the run in progress, for tools that a team has anyway.

    session ─▶ buffer ─▶ Figures ─▶ families ─▶ Prometheus (asked by HTTP), OTLP (sent to a collector)

An exporter is an observer (bench.run.plugins): the session's thread only puts what it sees into a buffer,
everything else happens in a separate thread. Numbers are those of the run folder.
"""
