"""What several test folders share. `test` is on Python's path: `from support.waiting import until`.

waiting   waits for a condition
"""
