"""The tables of analytics, and the trigger that tells of deleted units."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

FORWARD = """
-- An import that replaces units deletes some: whoever does, the statistics follow. Writing units tells nothing
-- here, the import that does it is told by its end.
CREATE FUNCTION analytics_units_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO analytics_change (collected, part, tax_ident)
    SELECT DISTINCT 0, (hashtext(tax_ident) & 63), tax_ident FROM gone ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER unit_deleted AFTER DELETE ON imports_unit
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION analytics_units_deleted();
"""

BACKWARD = """
DROP TRIGGER unit_deleted ON imports_unit;
DROP FUNCTION analytics_units_deleted();
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("imports", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Cell",
            fields=[
                ("dimension", models.CharField(max_length=8)),
                ("code", models.TextField()),
                ("year", models.IntegerField()),
                ("units", models.BigIntegerField()),
                ("employees", models.DecimalField(decimal_places=0, max_digits=40)),
                ("turnover", models.DecimalField(decimal_places=10, max_digits=50)),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "dimension",
                        "code",
                        "year",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="CellChange",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("dimension", models.CharField(max_length=8)),
                ("code", models.TextField()),
                ("year", models.IntegerField()),
                ("units", models.BigIntegerField()),
                ("employees", models.DecimalField(decimal_places=0, max_digits=40)),
                ("turnover", models.DecimalField(decimal_places=10, max_digits=50)),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Change",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "collected",
                        "part",
                        "tax_ident",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("collected", models.BigIntegerField()),
                ("part", models.PositiveIntegerField()),
                ("tax_ident", models.CharField(max_length=200)),
            ],
        ),
        migrations.CreateModel(
            name="StatisticalUnit",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tax_ident",
                        "first_year",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tax_ident", models.CharField(max_length=200)),
                ("first_year", models.IntegerField()),
                ("last_year", models.IntegerField(null=True)),
                ("region", models.TextField()),
                ("activity", models.CharField(max_length=1)),
                ("size", models.CharField(max_length=3)),
                ("employees", models.BigIntegerField(null=True)),
                ("turnover", models.DecimalField(decimal_places=10, max_digits=40, null=True)),
            ],
        ),
        migrations.CreateModel(
            name="ChangedImport",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                (
                    "source",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="imports.import"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Reports",
            fields=[
                ("version", models.PositiveBigIntegerField(default=1, editable=False)),
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("derived_at", models.DateTimeField(null=True)),
            ],
            options={
                "verbose_name_plural": "reports",
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="reports_one_row")
                ],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
