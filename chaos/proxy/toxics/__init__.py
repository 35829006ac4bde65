"""The toxins, one a file. `chaos.proxy.composition` lists them."""
