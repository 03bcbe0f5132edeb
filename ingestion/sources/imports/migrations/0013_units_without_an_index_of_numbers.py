"""Let the register keep no index of its units' numbers, and a session take a thousand numbers at once.

Nothing looks for a unit by its number, and the index was a quarter of the work of a load. That no number comes twice
is the doing of their sequence, which goes on as it was: the way back finds none twice.
"""

from django.db import migrations

FORWARD = """
ALTER TABLE imports_unit DROP CONSTRAINT imports_unit_pkey;
ALTER TABLE imports_unit ALTER COLUMN id SET CACHE 1000;
"""
BACKWARD = """
ALTER TABLE imports_unit ADD CONSTRAINT imports_unit_pkey PRIMARY KEY (id);
ALTER TABLE imports_unit ALTER COLUMN id SET CACHE 1;
"""


class Migration(migrations.Migration):
    dependencies = [("imports", "0012_units_written_quickly")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
