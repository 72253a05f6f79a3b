"""What ought to exist, as pure functions: no I/O, no clock, no randomness, no logging."""
