"""Which version each caller gets, and which one turns out better."""
