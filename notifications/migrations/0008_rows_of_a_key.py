"""Let the rows of one group key be found without reading all: the same constraint, the other way round."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifications", "0007_delivery_due")]

    operations = [
        migrations.RemoveConstraint(model_name="notification", name="notification_once"),
        migrations.AddConstraint(
            model_name="notification",
            constraint=models.UniqueConstraint(
                name="notification_once",
                fields=["group_key", "recipient"],
                condition=models.Q(group_key__isnull=False),
            ),
        ),
    ]
