"""Foreign systems acted out: each file writes down one system's protocol, as far as the operator speaks it."""
