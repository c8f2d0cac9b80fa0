"""What the gateway knows of servers and peers: a watch of its own, small records and their indexes."""
