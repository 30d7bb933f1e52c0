"""From rows of results to what people read: a table on the terminal, CSV, JSON, and figures."""

from steadynet.report.figures import draw_figures
from steadynet.report.files import write_report
from steadynet.report.rows import Cell, Row, summarise
from steadynet.report.table import markdown_table, print_table

__all__ = ["Cell", "Row", "draw_figures", "markdown_table", "print_table", "summarise", "write_report"]
