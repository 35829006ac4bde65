"""Rules about memory, CPU and what else was sampled."""
