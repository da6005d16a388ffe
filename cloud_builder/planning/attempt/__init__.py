"""The effects of a runner's report on the job and on the runner.

transitions   job + report → job: the state machine of attempts
poison        jobs that lose their runners repeatedly
quarantine    runners whose jobs repeatedly end in `error`
"""
