-- Run by wrk at its end: its figures in one line, times in microseconds (read by wrk.py).
function done(summary, latency, requests)
  local found = summary.errors
  local errors = found.connect + found.read + found.write + found.status + found.timeout
  io.write(string.format("holdfast %d %d %d %.3f %d %d\n", summary.requests, summary.duration, errors,
    latency.mean, latency:percentile(50), latency:percentile(99)))
end
