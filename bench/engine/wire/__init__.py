"""The engine `wire`: a compiled loop over sockets."""
