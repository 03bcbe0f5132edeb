"""What words look like each other: for searches that find nothing by the words themselves."""

from django.contrib.postgres.operations import TrigramExtension
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0011_sightings")]

    operations = [TrigramExtension()]
