"""Schemathesis against a running Parley: `make test-schema`."""
