"""Documents of the reports, and what renders them."""
