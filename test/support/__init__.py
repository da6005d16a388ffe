"""Harnesses, fakes and factories of the tests. `test` is on Python's path: `from support.factories import unit`.

factories           units, jobs, runners and packages with ordinary values
waiting             waits for a condition
work                the event and the unit of work that a flow is called with
request_harness     cb-request's flow, with git in memory
scheduler_harness   cb-scheduler's flow, with simulated runners
runner_harness      cb-runner's flow, with a builder in memory
info_history        cb-info's views after some events
info_mesh           cb-ctl against a real cb-info
memory_mesh         all five daemons in one process
ctl_mesh            all five daemons as processes, driven by cb-ctl
kafka_server        a real Kafka
fetch_kafka         fetches Kafka before the tests
operator_tools      Kafka's command line tools
"""
