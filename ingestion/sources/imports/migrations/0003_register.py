from django.db import migrations

from ingestion.sources.imports.default import put


class Migration(migrations.Migration):
    dependencies = [("imports", "0002_definitions")]

    operations = [migrations.RunPython(lambda apps, editor: put(apps), migrations.RunPython.noop)]
