"""`bench init`: a stack file and a first scenario from what a user has already.

    compose file │ URLs │ OpenAPI document  ─ read, ask ─▶  Findings  ─ text ─▶  stack file, scenario

The readers and the writers are pure; `asking` alone contacts anybody.
"""
