"""Learning from labels as they come in: a mixture of maps, and bets against what is served.

experts  the mixture: the served map, two lines and offsets, with weights that change
bets     what a bet pays, and bettors for every bin of the scale
"""
