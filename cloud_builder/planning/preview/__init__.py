"""The preview of a request (`cb-ctl plan`): predicts what would be built, builds nothing.

model     lookups that a preview needs, and what it says about a job
preview   jobs + lookups → a verdict for each job
totals    previewed jobs → figures of the plan
"""
