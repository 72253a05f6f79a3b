"""One file a page or a family of pages: parse, ask one use case, render."""
