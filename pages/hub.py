"""Hub: who you are there, and what goes to it and comes back."""

from studio.backup_list import backup_list
from studio.hub_account import account_card
from studio.layout import page_header
from studio.publish_form import publish_form
from studio.space_form import space_form

with page_header("Hub", "Publish a model, and keep checkpoints safe from lost sessions"):
    pass
account_card()
publish_form()
space_form()
backup_list()
