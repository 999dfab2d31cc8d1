"""The parts of documents that `make tables` writes, each between two comments."""


def between_markers(text: str, name: str, written: str) -> str:
    """The document's text with `written` as its part `name`."""
    begin, end = f"<!-- {name}: written by `make tables` -->", f"<!-- end of {name} -->"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n{written}\n{end}{after}"
