"""Studio's own web chat."""
