"""The leave-one-out study of uncertainty in classification."""
