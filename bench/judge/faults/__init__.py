"""Rules about faults: detection, recovery, what was observed of them."""
