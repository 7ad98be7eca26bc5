"""What a result that describes itself as a document can do: print, show and write itself."""

from __future__ import annotations

from os import PathLike

from calib._documents import html, latex, text
from calib._documents.document import Document


class Documented:
    """A result with a `document`, which text, HTML and LaTeX render."""

    def document(self) -> Document:
        """Return headline, sentences, tables and figures of the result."""
        raise AssertionError(f"{type(self).__name__} does not define document")

    def page(self) -> Document:
        """Return the document of a file of its own, which may hold more than a notebook's."""
        return self.document()

    @property
    def headline(self) -> str:
        """The answer in one sentence; empty where the result has none."""
        headline = self.document().headline
        return "" if headline is None else headline.text

    def details(self) -> str:
        """Return everything as text, with what a page keeps in folds.

        Returns
        -------
        text : str
            What printing shows, and below it all numbers, remarks and notes.
        """
        return text.text_of(self.page(), folds=True)

    def __str__(self) -> str:
        return text.text_of(self.document())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return html.fragment(self.document())

    def to_html(self, path: str | PathLike[str], *, unfold: bool = False) -> None:
        """Write the report as one self-contained HTML file.

        Parameters
        ----------
        path : str or path-like
            File to write; tables, text and diagrams are inside it, nothing is loaded. An existing
            file is replaced when all is written, never left in part.
        unfold : bool, default=False
            Whether the folds are open from the start, for printing and for archives.
        """
        html.write(self.page(), path, unfold=unfold)

    def to_latex(self) -> str:
        """Return the tables of the report for LaTeX.

        Returns
        -------
        tables : str
            Each a ``tabular`` with the rules of the package booktabs.
        """
        return latex.latex_of(self.document())
