"""Keep the words of units' names, to search by; first those of the units that there are."""

import django.contrib.postgres.indexes
import django.contrib.postgres.search
from django.db import migrations, models

FILL = """
INSERT INTO analytics_words (tax_ident, words)
SELECT tax_ident, to_tsvector('simple', left(string_agg(DISTINCT name, ' '), 100000))
FROM imports_unit GROUP BY tax_ident
"""


class Migration(migrations.Migration):
    dependencies = [("analytics", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Words",
            fields=[
                ("tax_ident", models.CharField(max_length=200, primary_key=True, serialize=False)),
                ("words", django.contrib.postgres.search.SearchVectorField()),
            ],
            options={
                "indexes": [
                    django.contrib.postgres.indexes.GinIndex(fields=["words"], name="words_of_names")
                ],
            },
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
