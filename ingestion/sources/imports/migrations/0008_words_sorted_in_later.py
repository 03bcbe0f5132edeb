"""Let loads leave more words of names in the list of what is to be sorted into their index."""

import django.contrib.postgres.indexes
import django.contrib.postgres.search
from django.db import migrations

FORWARD = "ALTER INDEX unit_by_name SET (gin_pending_list_limit = 65536)"
BACKWARD = "ALTER INDEX unit_by_name RESET (gin_pending_list_limit)"


class Migration(migrations.Migration):
    dependencies = [("imports", "0007_units_without_a_look_up")]

    operations = [
        migrations.RunSQL(
            FORWARD,
            BACKWARD,
            state_operations=[
                migrations.RemoveIndex(model_name="unit", name="unit_by_name"),
                migrations.AddIndex(
                    model_name="unit",
                    index=django.contrib.postgres.indexes.GinIndex(
                        django.contrib.postgres.search.SearchVector("name", config="simple"),
                        name="unit_by_name",
                        gin_pending_list_limit=65536,
                    ),
                ),
            ],
        )
    ]
