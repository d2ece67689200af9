"""The two versions that client and daemon compare, where importing them costs nothing."""

PACKAGE_VERSION = "0.2.0"  # as in pyproject.toml
PROTOCOL_VERSION = "1"  # as in protocol/methods.py, which needs msgspec
