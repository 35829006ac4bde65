"""The TCP fault proxy: a program of its own on the way from the load to a target.

    client ──▶ listener ── dial (asynchronous, with a deadline) ──▶ upstream
                  │
              connection ─┬─ up:    client's bytes ─▶ limit ─▶ latency ─▶ bandwidth ─▶ slicer ─▶ upstream
                          └─ down:  the same, the other way round; the end of the bytes then waits
                                    for slow_close

Without a toxin a byte takes one `recv_into` and one `send` in one turn of an epoll loop. Trials on two
cores, round trips of 100 bytes: this adds 18 us at P50, splice(2) 19 us, uvloop 19 us, asyncio 50 us; in
bulk all four pass about 1 GB/s. What takes the time is two wake-ups more, so the simplest one that
needs no package won. `chaos.proxy.added_delay` measures it on this machine.

What a client sees, which is what it would see without us as far as a user-space program can do that:

- Upstream refuses. The first client has been accepted by the kernel before we can know: its
  connection is reset. From then on we do not listen either, so further ones get ECONNREFUSED, and
  so do those that the kernel had accepted for us (reset). Upstream is dialled every millisecond; the
  connection that succeeds opens the port again and serves the first client that comes within 0.2 s, so
  that upstream sees no connection that is not a client's.
- Upstream does not answer (black-holed, its backlog full). The client is connected and waits; after
  the deadline of the dial it is reset. Nobody else waits for it.
- Half-close, reset and back pressure are passed on, each in its order with the bytes. At most one
  read waits for a slow reader, and under latency 1 MiB per direction.
- The handshake itself is not delayed by `latency`, and a connect succeeds under `black_hole`: the
  kernel answers for us. Upstream is not dialled during a black hole, so it sees nothing.
- A kernel's own socket buffers come on top: what a sender has sent may wait there.
"""
