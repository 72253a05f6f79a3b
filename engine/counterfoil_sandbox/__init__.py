"""Sandboxes of the outside parties: processes of their own with their own books; they import nothing of the engine."""
