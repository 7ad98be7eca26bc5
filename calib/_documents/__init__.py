"""Documents that results describe themselves as, and the renderers of their blocks."""
