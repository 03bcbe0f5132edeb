"""Let no constraint look up the import of each loaded unit."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("imports", "0006_ended_as"),
    ]

    operations = [
        migrations.AlterField(
            model_name="unit",
            name="loaded_by",
            field=models.ForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="units",
                to="imports.import",
            ),
        ),
    ]
