"""The columns of resources.csv: one row per sample and source, empty where a source has no such figure."""

WHEN = ("at_ns", "phase", "source")
PROCESS = ("pid", "processes", "cores", "cpu_s")
MEMORY = ("rss_bytes", "pss_bytes", "working_set_bytes")
FILES = ("fds", "threads", "read_bytes", "write_bytes")
REDIS = ("used_memory_bytes", "used_memory_rss_bytes", "fragmentation_ratio", "clients", "evicted_keys")
POSTGRES = (
    *("active", "idle", "idle_in_transaction", "other_sessions"),
    *("waiting_lock", "waiting_lwlock", "waiting_io", "waiting_client", "waiting_other"),
    *("commits", "rollbacks", "deadlocks", "temp_bytes", "buffer_hit_ratio"),
)
POOL = ("pool_in_use", "pool_size")
WAITING = (
    *("run_queue_s", "run_queue_worst_s", "throttled_s"),
    *("steal_s", "cpu_pressure_s", "memory_pressure_s", "io_pressure_s"),
)

COLUMNS = (*WHEN, *PROCESS, *MEMORY, *FILES, *REDIS, *POSTGRES, *POOL, *WAITING)

GENERATOR = "generator"
"""The source that is this process."""
MACHINE = "machine"
"""The source that is the machine as a whole."""
