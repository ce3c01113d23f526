"""Every layout, one line each, in the order in which they are recognised.

A layout is a module with NAME, TITLE, COLUMNS (its names, each as a column is called that nobody has named), HELP (a
line for each), REQUIRED, ANSWER (the name of the answer's column, None where an answer template makes no sense) and
`conversation(row, columns)`, which raises RowProblem; one of PAIRED also `pair(row, columns)`.
"""

from types import ModuleType

from core.data.formats import (
    alpaca,
    conversations,
    fields,
    marked_text,
    messages,
    preference,
    prompt_completion,
    question_answer,
    template,
    text,
    tree,
)

FORMATS: dict[str, ModuleType] = {
    layout.NAME: layout
    for layout in (
        messages,
        conversations,
        alpaca,
        preference,
        prompt_completion,
        question_answer,
        marked_text,
        tree,
        text,
        template,
        fields,
    )
}
# Recognised only where no other layout fits, and if their `recognised(names, columns)` finds nothing against it.
LAST_RESORTS = (text, fields)
# Recognised by what stands in the rows, never by the columns alone.
BY_ROWS = (marked_text,)
# Rows of two answers, of which one was chosen.
PAIRED = (preference,)
