"""The table of moves as a trigger, and storage settings of a row that is updated four times a second."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION ingestion_job_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state IS DISTINCT FROM OLD.state THEN
        IF NOT (OLD.state || '>' || NEW.state) = ANY (ARRAY[
            'pending>running', 'pending>cancelled',
            'running>completed', 'running>partial', 'running>failed',
            'running>cancelled', 'running>waiting', 'running>pending',
            'waiting>pending', 'waiting>cancelled'
        ]) THEN
            RAISE EXCEPTION 'job % may not move from % to %', OLD.id, OLD.state, NEW.state
                USING ERRCODE = 'check_violation', CONSTRAINT = 'job_moves', TABLE = 'ingestion_job';
        END IF;
        IF NEW.version = OLD.version THEN
            NEW.version := OLD.version + 1;
        END IF;
    END IF;
    RETURN NEW;
END
$$;
-- OF state: heartbeats, progress and items never run it.
CREATE TRIGGER job_moves BEFORE UPDATE OF state ON ingestion_job
    FOR EACH ROW EXECUTE FUNCTION ingestion_job_move();
ALTER TABLE ingestion_job SET (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 200,
    autovacuum_vacuum_cost_delay = 0
);
"""

BACKWARD = """
DROP TRIGGER job_moves ON ingestion_job;
DROP FUNCTION ingestion_job_move();
ALTER TABLE ingestion_job RESET (
    fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_vacuum_cost_delay
);
"""


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
