"""Everything that talks to MAPIE."""
