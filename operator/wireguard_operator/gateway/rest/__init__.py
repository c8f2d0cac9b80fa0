"""The REST API: servers, peers, their configurations, and the dashboard, in the contract of dotmac's platforms."""
