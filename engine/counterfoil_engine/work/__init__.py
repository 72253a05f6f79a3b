"""Use cases, one verb a file: they read and write through ports only."""
