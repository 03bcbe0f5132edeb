"""The audit log is only added to: a trigger, because admin, shell and raw SQL are not ours to stop."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION headway_auditlog_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Retention says so in its own transaction (config.audit.prune_within).
    IF TG_OP = 'DELETE' AND current_setting('headway.audit', true) = 'prune' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the audit log is only added to'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'auditlog_kept', TABLE = 'headway_auditlog';
END
$$;
CREATE TRIGGER auditlog_kept BEFORE UPDATE OR DELETE ON headway_auditlog
    FOR EACH ROW EXECUTE FUNCTION headway_auditlog_kept();
"""

BACKWARD = """
DROP TRIGGER auditlog_kept ON headway_auditlog;
DROP FUNCTION headway_auditlog_kept();
"""


class Migration(migrations.Migration):
    dependencies = [("headway", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
