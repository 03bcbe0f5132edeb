"""Keep the rows of a span as one text: rows of their own are only those about which something is said."""

import django.db.models.deletion
from django.db import migrations, models

import ingestion.sources.imports.rowtext

FORWARD = r"""
ALTER TABLE imports_importrow RENAME TO imports_notedrow;
ALTER INDEX importrow_bad RENAME TO notedrow_bad;
ALTER INDEX importrow_doubtful RENAME TO notedrow_doubtful;
ALTER INDEX importrow_settled RENAME TO notedrow_settled;

CREATE TABLE imports_stagedspan (
    import_id bigint NOT NULL,
    first integer NOT NULL CHECK (first >= 0),
    rows integer NOT NULL CHECK (rows >= 0),
    lines text NOT NULL,
    total integer NOT NULL CHECK (total >= 0),
    low text COLLATE "C",
    high text COLLATE "C",
    PRIMARY KEY (import_id, first)
);
-- Packing takes longer than writing does.
ALTER TABLE imports_stagedspan ALTER lines SET STORAGE EXTERNAL;

-- What was staged row by row stays so.
INSERT INTO imports_stagedspan (import_id, first, rows, lines, total)
SELECT noted.import_id, (span ->> 2)::int, (span ->> 4)::int, '', count(*)
FROM imports_import AS import
CROSS JOIN jsonb_array_elements(import.spans) AS span
JOIN imports_notedrow AS noted ON noted.import_id = import.id
    AND noted.number BETWEEN (span ->> 2)::int AND (span ->> 2)::int + (span ->> 4)::int - 1
GROUP BY 1, 2, 3;

CREATE VIEW imports_importrow AS
SELECT import_id, number, NULL::integer AS span, cells, fixed, errors, warnings, settled
FROM imports_notedrow
UNION ALL
SELECT import_id, number, span, cells, NULL, NULL, NULL, NULL
FROM (
    SELECT import_id, first AS span, generate_series(first, first + rows - 1) AS number,
        string_to_table(lines, E'\n') AS cells
    FROM imports_stagedspan
) AS line
WHERE cells <> '' AND NOT EXISTS (
    SELECT FROM imports_notedrow AS noted
    WHERE noted.import_id = line.import_id AND noted.number = line.number
);
"""
BACKWARD = r"""
CREATE TABLE importrow_before AS SELECT * FROM imports_importrow WHERE span IS NOT NULL;
DROP VIEW imports_importrow;
DROP TABLE imports_stagedspan;
ALTER TABLE imports_notedrow RENAME TO imports_importrow;
ALTER INDEX notedrow_bad RENAME TO importrow_bad;
ALTER INDEX notedrow_doubtful RENAME TO importrow_doubtful;
ALTER INDEX notedrow_settled RENAME TO importrow_settled;
INSERT INTO imports_importrow (import_id, number, cells) SELECT import_id, number, cells FROM importrow_before;
DROP TABLE importrow_before;
"""


def parent(on_delete: object, name: str) -> models.ForeignKey:
    return models.ForeignKey(
        db_column="import_id",
        db_constraint=False,
        db_index=False,
        on_delete=on_delete,
        related_name=name,
        to="imports.import",
    )


class Migration(migrations.Migration):
    dependencies = [("imports", "0010_rows_are_forgotten")]

    operations = [
        migrations.RunSQL(
            FORWARD,
            BACKWARD,
            state_operations=[
                migrations.RenameModel("ImportRow", "NotedRow"),
                migrations.AlterField(
                    "notedrow", "parent", parent(django.db.models.deletion.CASCADE, "noted")
                ),
                *(
                    migrations.RenameIndex(
                        "notedrow", new_name=f"notedrow_{name}", old_name=f"importrow_{name}"
                    )
                    for name in ("bad", "doubtful", "settled")
                ),
                migrations.CreateModel(
                    name="StagedSpan",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "parent_id",
                                "first",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("first", models.PositiveIntegerField()),
                        ("rows", models.PositiveIntegerField()),
                        ("lines", models.TextField()),
                        ("total", models.PositiveIntegerField()),
                        ("low", models.TextField(db_collation="C", null=True)),
                        ("high", models.TextField(db_collation="C", null=True)),
                        ("parent", parent(django.db.models.deletion.CASCADE, "staged")),
                    ],
                ),
                migrations.CreateModel(
                    name="ImportRow",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "parent_id",
                                "number",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("number", models.PositiveIntegerField()),
                        ("span", models.PositiveIntegerField(null=True)),
                        ("cells", ingestion.sources.imports.rowtext.CellsField()),
                        ("fixed", models.JSONField(null=True)),
                        ("errors", models.JSONField(null=True)),
                        ("warnings", models.JSONField(null=True)),
                        ("settled", models.JSONField(null=True)),
                        ("parent", parent(django.db.models.deletion.DO_NOTHING, "rows")),
                    ],
                    options={"managed": False, "db_table": "imports_importrow"},
                ),
            ],
        )
    ]
