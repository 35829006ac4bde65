"""The toxics, one a file. `chaos.proxy.composition` lists them."""
