"""The shell of the flow: everything that writes to a log or a network."""
