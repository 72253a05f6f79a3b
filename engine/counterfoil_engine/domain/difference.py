"""Due against posted: which intents to write, withdraw or reverse."""
