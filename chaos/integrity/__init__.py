"""Whether the data is what it should be after faults: ledgers, registers, totals, messages.

The checkers (`ledger`, `zones`, `totals`, `messages`) are pure. Beside them stand those who read a
target back after it was healed, and the watchers that use it while the load goes on.
"""
