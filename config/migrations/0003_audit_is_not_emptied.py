"""The audit log is not emptied either; and an index for the page that asks for one action."""

from django.db import migrations, models

FORWARD = """
CREATE TRIGGER auditlog_not_emptied BEFORE TRUNCATE ON headway_auditlog
    FOR EACH STATEMENT EXECUTE FUNCTION headway_auditlog_kept();
"""

BACKWARD = "DROP TRIGGER auditlog_not_emptied ON headway_auditlog;"


class Migration(migrations.Migration):
    dependencies = [("headway", "0002_audit_is_only_added")]
    operations = [
        migrations.RunSQL(FORWARD, BACKWARD),
        migrations.AddIndex(
            model_name="auditlog",
            index=models.Index(fields=["action", "-id"], name="auditlog_action"),
        ),
    ]
