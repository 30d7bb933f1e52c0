"""What a study's results are rendered to: charts and tables, as files and as one page."""
