"""Calibrators that read features beside scores.

reading           score columns, feature columns, texts as numbers, the fallback on scores alone
learners          boosted trees and sums of steps, fitted without each fold in turn
multicalibration  a map of scores and features, used if it gains beyond chance
group             one line per group, drawn to the line of all
"""
