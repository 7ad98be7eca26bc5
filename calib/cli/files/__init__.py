"""Files of the command line: tables and arrays that are read, and what is written.

    contents  kinds of files, told by their first bytes
    columns   columns as numbers and labels
    tables    a file as named columns, and the choice among them
    readers   files that are read as a whole
    batches   large files that are read in batches of rows
    targets   checks of outputs before any work is done
    writers   tables, calibrators and reports

Options and commands stand beside this room.
"""
