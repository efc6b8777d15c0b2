"""Where staff write prompts, release them and look at what came of it."""

from prompts.admin import prompts

__all__ = ["prompts"]
