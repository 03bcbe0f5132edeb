"""What people are told and where: the inbox, broadcasts, follows and mutes, channels."""

from notifications.models.broadcasts import Broadcast, BroadcastReceipt, Broadcasts
from notifications.models.channels import Channel, Delivery, DeliveryState, Preference, Webhook
from notifications.models.inbox import Follow, Inbox, Level, Mute, Notification

__all__ = [
    "Broadcast",
    "BroadcastReceipt",
    "Broadcasts",
    "Channel",
    "Delivery",
    "DeliveryState",
    "Follow",
    "Inbox",
    "Level",
    "Mute",
    "Notification",
    "Preference",
    "Webhook",
]
