"""The drawn learning rate is the one the trainer will use."""

from itertools import product

import pytest

from core.recipe import Recipe
from core.recipe_yaml import with_values as changed
from core.training.schedules import SCHEDULES, rate_at, settings, warmup_steps
from studio.schedule_chart import schedule_figure


@pytest.mark.parametrize(
    ("schedule", "run"),
    product(SCHEDULES, [(0, 10), (0.03, 40), (0.5, 7), (0.99, 3), (0.5, 1)]),
    ids=lambda value: str(value),
)
def test_the_drawn_schedule_is_that_of_transformers(schedule, run):
    import torch
    from transformers import get_scheduler

    warmup, steps = run
    training = changed(Recipe(), {"training.schedule": schedule, "training.warmup": warmup}).training
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=training.learning_rate)
    scheduler = get_scheduler(
        SCHEDULES[schedule], optimizer, warmup_steps(training, steps), steps, settings(training, steps)
    )
    expected = []
    for _ in range(steps):
        expected.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    assert [rate_at(step, training, steps) for step in range(steps)] == pytest.approx(expected)


@pytest.mark.parametrize("steps", [None, 1, 18])
def test_the_schedule_is_drawn_whether_or_not_the_steps_are_known(steps):
    figure = schedule_figure(Recipe().training, steps)
    assert max(figure["data"][0]["y"]) == pytest.approx(2e-4)
    assert figure["layout"]["xaxis"]["ticktext"][-1] == ("100%" if steps is None else str(steps))
