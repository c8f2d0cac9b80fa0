"""The packet filter of one interface: source check, access rules, rate limits, isolation and masquerade.

One nft table of the agent's own, which touches nothing that others set up. What has no policy is dropped, so that
whatever goes wrong leaves a subscriber without service, and never one without rules.

===========  ========================================================================
``chains``   from a peer's policy to chains of rules (pure)
``table``    the table as it should be, and the transactions that lead there (pure)
``listing``  the table as nft lists it, compared with what it should be (pure)
``program``  runs nft
``guard``    keeps the table right, and finds policies that nft refuses
===========  ========================================================================
"""
