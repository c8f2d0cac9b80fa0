"""The work on one server and its peers: when it is done, what is done, and what for."""
