"""Functions of the frameworks as programs: a front end for each, imported when it is needed."""
