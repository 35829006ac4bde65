"""What a plug-in can add, added from files of its own: a driver with its service, a fault and more.

No other file of the project knows of them. `docs/adding-a-driver.md` and its neighbours say the same in
words.
"""
