"""The clock of the daemons: it follows the wall clock, but does not jump with it."""

from __future__ import annotations

import pytest

from cloud_builder.mesh.clock import SteadyClock


class Machine:
    """A machine with a wall clock and a monotonic clock, which a test moves."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_000_000.0, 50.0

    def pass_time(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def clock(machine: Machine) -> SteadyClock:
    return SteadyClock(lambda: machine.wall, lambda: machine.steady)


def test_clock_follows_the_wall_clock(machine: Machine, clock: SteadyClock) -> None:
    machine.pass_time(90.0)
    assert clock() == pytest.approx(machine.wall)


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 5.0, -5.0])
def test_clock_does_not_jump_with_the_wall_clock(machine: Machine, clock: SteadyClock, jump: float) -> None:
    before = clock()
    machine.wall += jump
    machine.pass_time(1.0)
    assert clock() - before == pytest.approx(1.0, abs=0.11)


@pytest.mark.parametrize("jump", [60.0, -60.0])
def test_clock_catches_up_within_ten_times_the_jump(machine: Machine, clock: SteadyClock, jump: float) -> None:
    machine.wall += jump
    times = []
    for _ in range(610):
        machine.pass_time(1.0)
        times.append(clock())
    assert times == sorted(times)
    assert times[-1] == pytest.approx(machine.wall)
