"""Alerts: what happened is found and recorded once, and then sent until it has arrived."""
