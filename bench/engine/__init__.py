"""The only package that opens load sockets: the compiled wire engine and the client engine."""
