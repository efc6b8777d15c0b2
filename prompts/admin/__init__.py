"""Where staff write prompts, release them and look at what came of it."""

from prompts.admin import label_moves, label_rules, prompts, versions

__all__ = ["label_moves", "label_rules", "prompts", "versions"]
