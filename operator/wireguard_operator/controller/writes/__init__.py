"""What is written to the API server beside address blocks: statuses, Events and Secrets."""
