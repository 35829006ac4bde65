"""SLA rules: their grammar, and the metrics a scenario can produce for them."""
