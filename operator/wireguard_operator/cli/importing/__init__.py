"""``import``: what another program has set up, as objects of ours. One module reads each kind of source.

Every source ends in a ``Plan``, most by way of a ``found.Device``, which ``manifests`` turns into one; so all are
reported and applied in the same way. A new source is a reader and a few lines in ``command``.
"""
