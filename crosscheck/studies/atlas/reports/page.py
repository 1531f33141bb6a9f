"""The atlas as one page."""

from crosscheck.studies.atlas.reports.markdown import Atlas, text as as_markdown


def text(atlas: Atlas) -> str:
    """The page."""
    return as_markdown(atlas)
