"""Which version a label names: moves of labels, what they need, and their history."""
