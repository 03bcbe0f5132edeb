"""Let deliveries go with their notification in the database itself: statements delete notifications too."""

import django.db.models.deletion
from django.db import migrations, models

ADD = """
    ALTER TABLE notifications_delivery ADD CONSTRAINT delivery_of_notification
    FOREIGN KEY (notification_id) REFERENCES notifications_notification (id)
    ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
"""
DROP = "ALTER TABLE notifications_delivery DROP CONSTRAINT delivery_of_notification"


class Migration(migrations.Migration):
    dependencies = [("notifications", "0004_unread_before")]

    operations = [
        migrations.AlterField(
            model_name="delivery",
            name="notification",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="deliveries",
                to="notifications.notification",
            ),
        ),
        migrations.RunSQL(ADD, DROP),
    ]
