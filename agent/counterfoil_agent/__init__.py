"""The agent: one beside each shop; a durable outbox up, an applier down, no business rule."""
