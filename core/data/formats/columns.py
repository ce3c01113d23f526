"""Which of a source's columns a layout reads: its own names, those the person gave, and those in braces."""

from types import ModuleType

from core.data.braces import placeholders
from core.data.formats import answer, template
from core.recipe_data import Source


def columns_of(source: Source, layout: ModuleType) -> dict[str, str]:
    """The layout's names -> this source's columns; where it has them, the template and the answer template too."""
    columns = layout.COLUMNS | {name: column for name, column in source.columns.items() if name in layout.COLUMNS}
    if layout is template:
        columns[template.KEY] = source.template or ""
    if layout.ANSWER and source.answer_template:
        columns[answer.KEY] = source.answer_template
    return columns


def needed(layout: ModuleType, columns: dict[str, str]) -> list[str]:
    """The columns without which a row cannot be read."""
    put_together = answer.KEY in columns
    plain = [columns[name] for name in layout.REQUIRED if not (put_together and name == layout.ANSWER)]
    return plain + [name for key in (template.KEY, answer.KEY) for name in placeholders(columns.get(key, ""))]
