"""Features beside scores, and what is learnt from them.

    columns  columns of tables, numbers and categories
    codes    numbers as bins, categories in an order
    glm      linear and logistic regressions of many groups at once
    prior    what regressions of groups are drawn to, and its estimate from the groups
    trees    boosted oblivious trees

Nothing here knows of calibrators.
"""
