"""Which probabilities and events a measure looks at."""
