"""Let each channel find what is due on it without passing what waits on another."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifications", "0006_broadcast_key")]

    operations = [
        migrations.RemoveIndex(model_name="delivery", name="delivery_due"),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                fields=["channel", "due_at"], name="delivery_due", condition=models.Q(state="due")
            ),
        ),
    ]
