"""Let COPY write units: what a file does not say is the database's default; a small index says who wrote them."""

import django.contrib.postgres.indexes
from django.db import migrations, models
from django.db.models import deletion

TEXTS = (
    "physical_address_part1",
    "physical_address_part2",
    "physical_address_part3",
    "physical_postcode",
    "physical_postplace",
    "physical_region_code",
    "physical_country_iso_2",
    "postal_address_part1",
    "postal_address_part2",
    "postal_address_part3",
    "postal_postcode",
    "postal_postplace",
    "postal_region_code",
    "postal_country_iso_2",
    "primary_activity_category_code",
    "secondary_activity_category_code",
    "legal_form_code",
    "sector_code",
    "web_address",
    "email_address",
    "phone_number",
)


class Migration(migrations.Migration):
    dependencies = [("imports", "0011_rows_by_the_span")]

    operations = [
        *(
            migrations.AlterField("unit", name, models.TextField(blank=True, db_default="", default=""))
            for name in TEXTS
        ),
        migrations.AlterField(
            "unit", "stat_ident", models.CharField(blank=True, db_default="", default="", max_length=200)
        ),
        migrations.AlterField(
            "unit",
            "extra",
            models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict),
        ),
        migrations.AlterField(
            "unit",
            "loaded_by",
            models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=deletion.SET_NULL,
                related_name="units",
                to="imports.import",
            ),
        ),
        migrations.AddIndex(
            "unit",
            django.contrib.postgres.indexes.BrinIndex(
                autosummarize=True, fields=["loaded_by"], name="unit_loaded_by", pages_per_range=32
            ),
        ),
    ]
