"""Which jobs take down their runners, and which only had bad luck."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_builder.model.outcome import JobState, Outcome
from cloud_builder.planning.attempt import poison, transitions
from cloud_builder.planning.attempt.transitions import RUNNER_RESTARTED, RUNNER_STOPPED, RetryPolicy
from support.factories import job, report

POLICY = RetryPolicy(max_errors=10, delay=2.0, poison=2, confirm_wait=24.0)


def begun(runner="r1", life=1.0, **more):
    return transitions.start(transitions.assign(job(**more), runner, life, 10.0), 11.0)


def again(one, runner, life=1.0):
    return transitions.start(transitions.assign(one, runner, life, 100.0), 101.0)


def lost(one, *, is_sure=False):
    return transitions.retry_or_fail(
        one, f"runner {one.runner_id} was silent", POLICY, 50.0, death=poison.runner_loss(one, is_sure=is_sure)
    )


def confessed(one):
    return transitions.finish(
        one, report(one, Outcome.ERROR, code=RUNNER_RESTARTED, message="died while it built this"), POLICY, 50.0
    )


def test_a_job_that_took_down_its_runner_twice_is_a_failure_that_names_them():
    first = confessed(begun("r1"))
    assert first.state is JobState.QUEUED
    second = confessed(again(first, "r2"))
    assert (second.outcome, second.code, second.deaths) == (Outcome.FAILURE, "poison", 2)
    assert second.message == "took down its runner twice: r1 (attempt 1), r2 (attempt 2)"
    assert second.hint


def test_what_had_not_begun_took_nobody_down():
    waiting = transitions.assign(job(), "r1", 1.0, 10.0)
    assert confessed(waiting).deaths == 0
    assert lost(waiting).deaths == 0


@pytest.mark.parametrize("code", ["machine", RUNNER_STOPPED, "lost-broker", "sandbox"])
def test_other_errors_are_no_deaths(code):
    ended = transitions.finish(begun(), report(begun(), Outcome.ERROR, code=code), POLICY, 50.0)
    assert ended.deaths == 0


def test_a_silent_runner_that_speaks_again_did_not_die_of_it():
    one = lost(again(lost(begun("r1")), "r2"))
    assert (one.deaths, one.not_before) == (2, 50.0 + POLICY.confirm_wait)
    back = transitions.on_runner_seen(one, "r2", 1.0, POLICY, 60.0)
    assert (back.state, back.deaths, back.not_before) == (JobState.QUEUED, 1, 60.0)


def test_a_silent_runner_that_comes_back_as_another_process_did():
    one = lost(again(confessed(begun("r1")), "r2"))
    assert one.state is JobState.QUEUED
    back = transitions.on_runner_seen(one, "r2", 500.0, POLICY, 60.0)
    assert (back.outcome, back.code) == (Outcome.FAILURE, "poison")


def test_silence_heard_while_the_job_runs_elsewhere_does_not_touch_that_attempt():
    one = again(lost(begun("r1")), "r2")
    for life, deaths in ((1.0, 0), (5.0, 0), (500.0, 1)):
        back = transitions.on_runner_seen(one, "r1", life, POLICY, 60.0)
        assert (back.state, back.attempt, back.deaths) == (JobState.RUNNING, 2, deaths)


STEPS = st.lists(
    st.tuples(st.sampled_from(["confess", "silent", "error", "stop"]), st.sampled_from(["same", "new", ""]))
)


@given(STEPS)
def test_only_deaths_count_and_each_once(steps):
    """However errors, silences and returns follow each other: a poison verdict has as many deaths as it takes."""
    policy = RetryPolicy(max_errors=1000, delay=2.0, poison=2)
    one, sure, unheard = job(), 0, 0
    for number, (what, comes_back) in enumerate(steps):
        runner = f"r{number}"
        one = transitions.start(transitions.assign(one, runner, 1.0, 10.0), 11.0)
        if what == "silent":
            one = transitions.retry_or_fail(one, "silent", policy, 50.0, death=poison.runner_loss(one, is_sure=False))
            sure, unheard = sure + (comes_back == "new"), unheard + (not comes_back)
            if comes_back:
                one = transitions.on_runner_seen(one, runner, 1.0 if comes_back == "same" else 500.0, policy, 60.0)
        else:
            code = {"confess": RUNNER_RESTARTED, "error": "machine", "stop": RUNNER_STOPPED}[what]
            one = transitions.finish(one, report(one, Outcome.ERROR, code=code), policy, 50.0)
            sure += what == "confess"
        assert one.deaths == sure + unheard
        assert one.is_finished == (sure >= policy.poison)
        if one.is_finished:
            assert one.code == "poison"
            return
