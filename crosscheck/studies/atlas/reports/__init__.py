"""The atlas as files for people: Markdown, and a page."""
