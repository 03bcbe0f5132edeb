"""Sessions get a table that names their user; those of today move over, so that nobody is signed out."""

from typing import Any, ClassVar

import django.db.models.deletion
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.db import migrations, models
from django.utils import timezone

BATCH = 1_000


def move(apps: Any, schema_editor: Any) -> None:
    """Copy the sessions that are not over."""
    from realtime.sessions import SessionStore  # only it can read what a session holds

    old, new = apps.get_model("sessions", "Session"), apps.get_model("realtime", "Session")
    users = set(apps.get_model("auth", "User").objects.values_list("pk", flat=True))
    rows = []
    for row in old.objects.filter(expire_date__gt=timezone.now()).iterator(BATCH):
        user = str(SessionStore().decode(row.session_data).get(SESSION_KEY, ""))
        rows.append(
            new(
                session_key=row.session_key,
                session_data=row.session_data,
                expire_date=row.expire_date,
                user_id=int(user) if user.isdecimal() and int(user) in users else None,
            )
        )
    new.objects.bulk_create(rows, batch_size=BATCH)
    old.objects.all().delete()


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("sessions", "0001_initial"),
        ("realtime", "0001_initial"),
    ]
    operations: ClassVar = [
        migrations.CreateModel(
            name="Session",
            fields=[
                (
                    "session_key",
                    models.CharField(
                        max_length=40, primary_key=True, serialize=False, verbose_name="session key"
                    ),
                ),
                ("session_data", models.TextField(verbose_name="session data")),
                ("expire_date", models.DateTimeField(db_index=True, verbose_name="expire date")),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sessions",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"verbose_name": "session", "verbose_name_plural": "sessions", "abstract": False},
        ),
        migrations.RunPython(move, migrations.RunPython.noop),
    ]
