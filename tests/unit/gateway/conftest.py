"""Makes ``gateway_world`` known to the folders below."""
