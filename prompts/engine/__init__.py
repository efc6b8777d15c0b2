"""From what a version says, and values, to messages for a model: pure calculation, no database."""
