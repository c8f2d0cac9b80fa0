"""What Prometheus is told: the process's own figures, and servers and peers as they stand in the cache."""
