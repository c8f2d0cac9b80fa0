"""Foreign systems that carry peers: wg-easy and Firezone, each behind one interface (``contract``).

A system is told what should be there and asked what is, by one steward, which has one write in flight and puts cuts
before all else. It keeps no state of its own that could not be read again from the system and the cluster.
"""
