"""What operators see and do in the admin. Importing it registers everything."""

from ingestion.admin import jobs, operations

__all__ = ["jobs", "operations"]
