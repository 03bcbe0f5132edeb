"""Is the data stable? One partial index and the functions that ask it; triggers only say that it may have changed."""

import django.db.models.functions.datetime
from django.db import migrations, models

FORWARD = """
-- SEEDS S4.3, S4.6, S4.7. Its condition is that of the index job_active.
CREATE FUNCTION is_system_stable() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT NOT EXISTS (
        SELECT 1 FROM public.ingestion_job
        WHERE state = 'running' OR (state = 'pending' AND pending_reason IN ('queue', 'slot', 'retry'))
    )
$$;

-- SEEDS S4.12.
CREATE FUNCTION analytics_tasks_in_progress()
RETURNS TABLE (id uuid, command text, state text, created_at timestamptz, duration_ms bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT id, source::text, CASE state WHEN 'running' THEN 'processing' ELSE 'pending' END, created_at,
        (extract(epoch FROM clock_timestamp() - coalesce(started_at, created_at)) * 1000)::bigint
    FROM public.ingestion_job
    WHERE queue = 'analytics'
        AND (state = 'running' OR (state = 'pending' AND pending_reason IN ('queue', 'slot', 'retry')))
    ORDER BY priority, created_at, id
$$;

-- Two jobs that end in two open transactions each see the other as active: so the answer is never looked
-- for here, only told that somebody should look, once a statement and at its commit.
CREATE FUNCTION ingestion_state_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY headway_state;
    RETURN NULL;
END
$$;
CREATE TRIGGER job_state_made AFTER INSERT OR DELETE OR TRUNCATE ON ingestion_job
    FOR EACH STATEMENT EXECUTE FUNCTION ingestion_state_moved();
-- OF these: heartbeats, progress and items never run it. (RELIABILITY F19)
CREATE TRIGGER job_state_moved AFTER UPDATE OF state, pending_reason ON ingestion_job
    FOR EACH STATEMENT EXECUTE FUNCTION ingestion_state_moved();

-- SEEDS S4.8: the change of the answer, for programs that listen to the database themselves.
CREATE FUNCTION ingestion_system_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('system_stability', jsonb_build_object('stable', NEW.stable)::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER system_made AFTER INSERT ON ingestion_system
    FOR EACH ROW WHEN (NEW.stable IS NOT NULL) EXECUTE FUNCTION ingestion_system_moved();
CREATE TRIGGER system_moved AFTER UPDATE OF stable ON ingestion_system
    FOR EACH ROW WHEN (NEW.stable IS DISTINCT FROM OLD.stable) EXECUTE FUNCTION ingestion_system_moved();
INSERT INTO ingestion_system (id, version) VALUES (1, 1);
"""

BACKWARD = """
DROP TRIGGER job_state_moved ON ingestion_job;
DROP TRIGGER job_state_made ON ingestion_job;
DROP FUNCTION ingestion_state_moved();
DROP TRIGGER system_moved ON ingestion_system;
DROP TRIGGER system_made ON ingestion_system;
DROP FUNCTION ingestion_system_moved();
DROP FUNCTION analytics_tasks_in_progress();
DROP FUNCTION is_system_stable();
"""


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0002_job_moves")]

    operations = [
        migrations.CreateModel(
            name="System",
            fields=[
                ("version", models.PositiveBigIntegerField(default=1, editable=False)),
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("stable", models.BooleanField(null=True)),
                (
                    "since",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="system",
            constraint=models.CheckConstraint(condition=models.Q(("id", 1)), name="system_one_row"),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(
                    ("state", "running"),
                    models.Q(("pending_reason__in", ["queue", "slot", "retry"]), ("state", "pending")),
                    _connector="OR",
                ),
                fields=["source", "object"],
                name="job_active",
            ),
        ),
        migrations.AddIndex(
            model_name="jobattempt",
            index=models.Index(
                condition=models.Q(("outcome__in", ["lost", "crashed"])),
                fields=["ended_at"],
                name="jobattempt_lost",
            ),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
