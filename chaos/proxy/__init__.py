"""The TCP fault proxy: a program of its own on the way from the load to a target.

    client ──▶ listener ── dial (asynchronous, with a deadline) ──▶ upstream
                  │
              connection ─┬─ up:    client's bytes ─▶ limit ─▶ latency ─▶ bandwidth ─▶ slicer ─▶ upstream
                          └─ down:  the same, the other way round; the end of the bytes then waits
                                    for slow_close

While no toxic is in force, a compiled loop in a thread of its own passes bytes on
(`bench/engine/wire/relay.py`): one `recvmsg` and one `send`, without the GIL. A toxic finds it standing
still between two reads, and this program's own epoll loop has all connections from then on (`traffic.py`);
what is not plain, such as an end or a reset, is always the latter's. The compiled loop needs packages and a
second to load, so the proxy serves without it until then. `Gauges` of `loop.py` is what both count of
themselves, in memory shared with the harness: the time from a read's arrival, by the kernel's stamp, until
it is sent on.
What is left is the kernel's: in trials on two cores some 12 us of processor time for a request and its
answer, nearly all of it two sends with their wake-ups, and 20 us more in a round trip of an idle machine.
`tests.benchmarks.durability.added_delay` measures what it adds to a round trip on this machine.

What a client sees, which is what it would see without us as far as a user-space program can do that:

- Upstream refuses. The first client has been accepted by the kernel before we can know: its
  connection is reset. From then on we do not listen either, so further ones get ECONNREFUSED, and
  so do those that the kernel had accepted for us (reset). Upstream is dialled every millisecond; the
  connection that succeeds opens the port again and serves the first client that comes within 0.2 s, so
  that upstream sees no connection that is not a client's.
- Upstream does not answer (black-holed, its backlog full). The client is connected and waits; after
  the deadline of the dial it is reset. No other connection waits for it.
- Half-close, reset and back pressure are passed on, each in its order with the bytes. At most one
  read waits for a slow reader, and under latency 1 MiB per direction.
- The handshake itself is not delayed by `latency`, and a connect succeeds under `black_hole`: the
  kernel answers for us. Upstream is not dialled during a black hole, so it sees nothing.
- A kernel's own socket buffers come on top: what a sender has sent may wait there.
"""
