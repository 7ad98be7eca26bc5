"""What only tests of private parts share."""
