"""The engine: facts in, dues out, post the difference, keep the proof."""
