"""How often verdicts are wrong, on processes whose percentiles are known."""
