from django.db import migrations

# Lexemes with the number of their workspace: one look at the index finds the passages of a workspace that have
# a word, and passages that have several, without reading any of them.
FUNCTION = """
    CREATE FUNCTION documents_terms(workspace bigint, words tsvector) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT array_agg(workspace::text || ':' || word) FROM unnest(tsvector_to_array(words)) word)
"""
INDEX = "CREATE INDEX chunk_by_terms ON documents_chunk USING gin (documents_terms(workspace_id, words))"


class Migration(migrations.Migration):
    dependencies = [("documents", "0003_moved_at")]

    operations = [
        migrations.RunSQL(FUNCTION, "DROP FUNCTION documents_terms"),
        migrations.RunSQL(INDEX, "DROP INDEX chunk_by_terms"),
        migrations.RemoveIndex("chunk", "chunk_by_words"),
        migrations.RemoveIndex("chunk", "chunk_of_workspace"),
    ]
