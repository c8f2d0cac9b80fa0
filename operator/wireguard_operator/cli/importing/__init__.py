"""``import``: what another program has set up, as objects of ours. One module reads each kind of source.

Every source ends in a ``found.Device``, which ``manifests`` turns into objects; so all sources are limited, named and
reported in the same way. A new source is a reader and two lines in ``command``.
"""
