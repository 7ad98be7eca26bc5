"""Private parts of the command line: files in and out, what is shown, what each command does."""
