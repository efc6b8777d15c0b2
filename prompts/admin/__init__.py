"""Where staff write prompts, release them and look at what came of it."""

from prompts.admin import experiments, label_moves, label_rules, prompts, versions

__all__ = ["experiments", "label_moves", "label_rules", "prompts", "versions"]
