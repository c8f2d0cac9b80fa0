"""Development tools: they are run from a checkout and are no part of the installed distribution."""
