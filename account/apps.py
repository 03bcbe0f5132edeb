from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in


class AccountConfig(AppConfig):
    name = "account"

    def ready(self) -> None:
        """Note with each sign-in where it came from."""
        from account import sign_ins  # needs the models, which are there when apps are ready

        user_logged_in.connect(sign_ins.note, dispatch_uid="account.note")
