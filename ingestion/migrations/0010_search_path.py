"""Triggers of jobs and of the answer find the system's own functions, whatever the session names first."""

from django.db import migrations

FUNCTIONS = ("ingestion_job_move()", "ingestion_state_moved()", "ingestion_system_moved()")


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0009_attempts_by_start")]

    operations = [
        migrations.RunSQL(
            f"ALTER FUNCTION {function} SET search_path = pg_catalog, pg_temp",
            f"ALTER FUNCTION {function} RESET search_path",
        )
        for function in FUNCTIONS
    ]
