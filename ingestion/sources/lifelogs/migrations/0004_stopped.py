from django.db import migrations, models

# Of accounts that stand still already, whatever is paused is taken for what goes on with them.
STOPPED = """
    UPDATE lifelogs_account AS account SET stopped = (
        SELECT coalesce(jsonb_agg(schedule.id), '[]') FROM ingestion_schedule AS schedule
        WHERE schedule.source = 'lifelogs' AND schedule.paused AND schedule.owner_id = account.owner_id
            AND schedule.params ->> 'account' = account.id::text
    )
    WHERE account.status <> 'active'
"""


class Migration(migrations.Migration):
    dependencies = [
        ("ingestion", "0006_job_of_object"),
        ("lifelogs", "0003_newest"),
    ]

    operations = [
        migrations.AddField(
            model_name="account",
            name="stopped",
            # Also the database's: processes of the version before go on making accounts beside this.
            field=models.JSONField(db_default=models.Value([], models.JSONField()), default=list),
        ),
        migrations.RunSQL(STOPPED, migrations.RunSQL.noop),
    ]
