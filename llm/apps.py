from importlib import import_module

from django.apps import AppConfig


class LlmConfig(AppConfig):
    name = "llm"
    verbose_name = "Models and routing"

    def ready(self) -> None:
        """Register the checks, which need the models."""
        import_module("llm.checks")
