"""Every layout, one line each, in the order in which they are recognised.

A layout is a module with NAME, TITLE, COLUMNS (its names, each as a column is called that nobody has named), HELP (a
line for each), REQUIRED and `conversation(row, columns)`, which raises RowProblem.
"""

from types import ModuleType

from core.data.formats import alpaca, conversations, messages, prompt_completion, question_answer, template

FORMATS: dict[str, ModuleType] = {
    layout.NAME: layout for layout in (messages, conversations, alpaca, prompt_completion, question_answer, template)
}
