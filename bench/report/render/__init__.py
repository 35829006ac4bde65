"""Documents as text, Markdown and HTML: one renderer for each form."""
