"""Command lines that work without the daemon."""
