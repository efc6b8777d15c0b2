"""Versions and models side by side, tried out by staff at their own expense."""
