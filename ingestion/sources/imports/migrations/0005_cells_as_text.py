"""Keep the cells of staged rows as one text: half the work of JSON, for each of a million rows."""

from django.db import migrations

import ingestion.sources.imports.rowtext

FORWARD = r"""
-- What stands at the ends of a cell is trimmed when it is staged now, not when it is read.
CREATE FUNCTION pg_temp.cells_as_text(cells jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT string_agg(replace(btrim(text, E' \t\n\r\v\f\u00a0\ufeff'), E'\x1f', ' '), E'\x1f' ORDER BY place)
    FROM jsonb_array_elements_text(cells) WITH ORDINALITY AS cell (text, place)
$$;
ALTER TABLE imports_importrow ALTER COLUMN cells TYPE text USING pg_temp.cells_as_text(cells);
"""
BACKWARD = r"""
ALTER TABLE imports_importrow ALTER COLUMN cells TYPE jsonb USING to_jsonb(string_to_array(cells, E'\x1f'));
"""


class Migration(migrations.Migration):
    dependencies = [("imports", "0004_decisions")]

    operations = [
        migrations.RunSQL(
            FORWARD,
            BACKWARD,
            state_operations=[
                migrations.AlterField(
                    model_name="importrow",
                    name="cells",
                    field=ingestion.sources.imports.rowtext.CellsField(),
                )
            ],
        )
    ]
