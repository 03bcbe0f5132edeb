from django.db import DatabaseError, migrations, transaction

# Of the usual encoders; others are compared one by one. An index of a model nobody uses is empty.
DIMENSIONS = (384, 512, 768, 1024, 1536)


def add_column(apps, editor):
    """Give vectors pgvector's column where the server has it; where it has not, they are bytes."""
    connection = editor.connection
    try:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
            cursor.execute("ALTER TABLE documents_vector ADD COLUMN embedding halfvec")
            for dim in DIMENSIONS:
                cursor.execute(
                    f"CREATE INDEX vector_nearest_{dim} ON documents_vector"
                    f" USING hnsw ((embedding::halfvec({dim})) halfvec_cosine_ops) WHERE dim = {dim}"
                )
    except DatabaseError:
        return  # not installed, too old, or not ours to create


class Migration(migrations.Migration):
    dependencies = [("documents", "0001_initial")]

    operations = [migrations.RunPython(add_column, migrations.RunPython.noop)]
