"""The reference API: a small shop on FastAPI, Redis and Postgres, for the API and resilience scenarios.

`python -m bench.reference_api` runs it; `settings.py` says what the environment may set. It is a system under
test, no part of the harness: nothing else imports it.
"""
