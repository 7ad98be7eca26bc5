"""The calibrator that chooses or averages others."""
