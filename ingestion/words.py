"""The words and pictures of states, for pages and terminal alike: one table."""

# What `serializers.display` says -> (icon, word). A word that is missing here shows as itself.
STATUS = {
    "queued": ("clock", "Queued"),
    "scheduled": ("clock", "Scheduled"),
    "blocked": ("clock", "Waiting for another job"),
    "retrying": ("retry", "Retrying"),
    "running": ("run", "Running"),
    "cancelling": ("ban", "Cancelling"),
    "stale": ("warn", "Worker lost"),
    "waiting_for_upload": ("upload", "Waiting for upload"),
    "waiting_for_review": ("eye", "Waiting for review"),
    "complete": ("done", "Complete"),
    "completed_with_errors": ("warn", "Completed with errors"),
    "failed": ("fail", "Failed"),
    "cancelled": ("ban", "Cancelled"),
    "rejected": ("x", "Rejected"),
    # items and steps
    "pending": ("clock", "Waiting"),
    "skipped": ("ban", "Skipped"),
    "quarantined": ("warn", "Set aside"),
    # what is there of a company
    "ready": ("done", "Ready"),
    "partial": ("half", "Partial"),
    # documents and workspaces
    "processing": ("run", "Processing"),
    "provisioning": ("run", "Preparing"),
    "error": ("fail", "Error"),
    # levels of events
    "info": ("dots", "Info"),
    "warning": ("warn", "Warning"),
}

# An item's state -> (data-status, icon, word) of its chip.
CHIP = {
    "pending": ("pending", "clock", "waiting"),
    "running": ("running", "dots", "in progress"),
    "done": ("complete", "check", "done"),
    "failed": ("failed", "x", "failed"),
    "skipped": ("skipped", "ban", "skipped"),
    "quarantined": ("failed", "warn", "set aside"),
}

# An event's level -> (data-status, icon).
LEVEL = {
    "info": ("info", "dots"),
    "success": ("complete", "check"),
    "warning": ("warning", "warn"),
    "error": ("failed", "x"),
}

SPINNING = ("running", "processing", "provisioning")


def word(status: str) -> str:
    """Return a status in words."""
    return STATUS[status][1] if status in STATUS else status.replace("_", " ").capitalize()


def picture(status: str) -> str:
    """Return the name of a status' icon."""
    return STATUS[status][0] if status in STATUS else "dots"
