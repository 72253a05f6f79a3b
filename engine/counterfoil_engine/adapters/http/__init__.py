"""What adapters that speak HTTP share: one bounded call, what every party answers, and posting over it."""
