"""Who answered in which minute, for the strips of the status page."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0010_search_path")]

    operations = [
        migrations.CreateModel(
            name="Sighting",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "at",
                        "component",
                        "answered",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("at", models.DateTimeField()),
                ("component", models.CharField(max_length=10)),
                ("answered", models.BooleanField()),
            ],
        ),
    ]
