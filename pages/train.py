"""Train: the run that the address names, the one that trains now, or the one that was opened last, live."""

from studio.empty_state import empty_state
from studio.job_choice import run_to_show
from studio.layout import page_header
from studio.train_view import train_view

job = run_to_show()
if job:
    train_view(job)
else:
    with page_header("Train", "Nothing is training."):
        pass
    empty_state("monitoring", "No run yet", "A run appears here with its live loss.", ("New run", "model_and_data"))
