"""From a scenario to its plan: every planned arrival computable, from one seed."""
