"""Sessions of the database beside ours."""

import psycopg
from django.db import connection


def another_session() -> psycopg.Connection:
    """Open a session beside ours, in a transaction that ends with it."""
    return psycopg.connect(**connection.get_connection_params())
