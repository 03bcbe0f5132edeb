"""Let the rows of an import go some time after its end."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("imports", "0009_words_by_analytics")]

    operations = [
        migrations.RemoveIndex(model_name="import", name="import_newest"),
        migrations.AddField(model_name="import", name="forgotten_at", field=models.DateTimeField(null=True)),
        migrations.AddIndex(
            model_name="import",
            index=models.Index(
                condition=models.Q(("forgotten_at__isnull", False)), fields=["id"], name="import_forgotten"
            ),
        ),
    ]
