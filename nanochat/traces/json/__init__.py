"""Traces as JSON files: written in blocks, walked by a scanner, numbers as numpy reads them."""
