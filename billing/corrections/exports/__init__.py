"""Vendors' cost exports: each format in a file of its own, read into the same lines."""
