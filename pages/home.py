"""Home: the quick start for a first visitor; later what trains, what needs a person, and how the machine is."""

from core import home
from core.hardware import machine
from core.jobs.listing import all_jobs
from studio.home_view import home_view
from studio.welcome import welcome

jobs = all_jobs("train")
if jobs:
    home_view(jobs)
else:
    welcome(machine(home.home()))
