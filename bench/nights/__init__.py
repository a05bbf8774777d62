"""Fourteen nights of the scoring job, killed in each of them: is anything lost or told twice?"""
