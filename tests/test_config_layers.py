"""The architecture, held by machines: who may point at whom."""

from django.apps import apps
from django.db.models import ForeignKey

LAYERS = ["core", "accounts", "billing", "llm", "prompts", "chat", "gateway", "config"]


def test_foreign_keys_point_down() -> None:
    wrong = [
        f"{model._meta.label}.{field.name} -> {field.related_model._meta.label}"
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if isinstance(field, ForeignKey) and not _points_down(model, field.related_model)
    ]

    assert wrong == []


def _points_down(model: type, target: type) -> bool:
    source_app, target_app = model._meta.app_label, target._meta.app_label  # type: ignore[attr-defined]
    if source_app not in LAYERS or target_app not in LAYERS:
        return True
    return LAYERS.index(target_app) <= LAYERS.index(source_app)
