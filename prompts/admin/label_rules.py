"""What it takes to move a label, set for each organization."""

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError

from prompts.models import LABEL_NAME, WRONG_LABEL, LabelRule


class LabelRuleForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = LabelRule
        fields = ["organization", "label", "needs_second_person", "required_pass_rate"]

    def clean_label(self) -> str:
        label: str = self.cleaned_data["label"]
        if not LABEL_NAME.fullmatch(label):
            raise ValidationError(WRONG_LABEL)
        return label


@admin.register(LabelRule)
class LabelRuleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A label without a rule is moved by one person, at once."""

    form = LabelRuleForm
    list_display = ["label", "organization", "needs_second_person", "required_pass_rate"]
    list_select_related = ["organization"]
    list_filter = ["organization", "needs_second_person"]
    search_fields = ["label"]
    autocomplete_fields = ["organization"]
