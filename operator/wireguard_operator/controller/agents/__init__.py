"""The link to the agents: trust, transport, and the state that each of them holds."""
