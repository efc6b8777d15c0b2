import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [('prompts', '0001_initial')]

    operations = [
        migrations.AddField(
            model_name='prompt',
            name='cache_mode',
            field=models.CharField(blank=True, choices=[('on', 'Read and write'), ('read', 'Only read'), ('write', 'Only write'), ('off', 'Neither')], help_text='Empty: only what is asked at temperature 0 and without tools. A choice counts for every call with this prompt.', max_length=5, verbose_name='cache'),
        ),
        migrations.AddField(
            model_name='prompt',
            name='cache_seconds',
            field=models.PositiveIntegerField(blank=True, help_text='At most a week. Empty: as long as all others.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(604800)], verbose_name='keep answers for, seconds'),
        ),
        migrations.AddField(
            model_name='prompt',
            name='semantic_model',
            field=models.CharField(blank=True, help_text='The name under which the model is asked that compares questions.', max_length=200, verbose_name='embedding model'),
        ),
        migrations.AddField(
            model_name='prompt',
            name='semantic_threshold',
            field=models.FloatField(blank=True, help_text='A question this similar to an earlier one gets its answer: 0.95 is careful, 1 is the same. Empty: only the very same question.', null=True, validators=[django.core.validators.MinValueValidator(0.5), django.core.validators.MaxValueValidator(1.0)], verbose_name='similarity that is enough'),
        ),
        migrations.AddConstraint(
            model_name='prompt',
            constraint=models.CheckConstraint(condition=models.Q(('semantic_threshold', None), models.Q(('semantic_model', ''), _negated=True), _connector='OR'), name='prompt_semantic_needs_model', violation_error_message='To compare questions, name an embedding model.'),
        ),
    ]
