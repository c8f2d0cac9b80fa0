"""Pure decisions: no clock, no network, no disk. Time and facts come in as arguments, verdicts go out as values."""
