from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0008_dead_letters")]

    operations = [
        migrations.AddIndex(
            model_name="jobattempt",
            index=models.Index(fields=["started_at"], name="jobattempt_started"),
        ),
    ]
