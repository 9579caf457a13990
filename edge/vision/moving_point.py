"""A Kalman filter of constant velocity in the plane, with one variance for both axes. Units: px and seconds."""

from __future__ import annotations

import math


class MovingPoint:
    """
    Where something is and how fast it moves, and how sure that is.

    Attributes:
        x, y: Its place, px.
        vx, vy: Its velocity, px / s.
    """

    __slots__ = ("_cross_var", "_position_var", "_speed_var", "vx", "vy", "x", "y")

    def __init__(self, x: float, y: float, position_noise: float, start_speed: float) -> None:
        self.x, self.y = x, y
        self.forget_motion(position_noise, start_speed)

    def forget_motion(self, position_noise: float, start_speed: float) -> None:
        """Let it stand still, with these standard deviations, px and px / s."""
        self.vx = self.vy = 0.0
        self._position_var = position_noise * position_noise
        self._cross_var = 0.0
        self._speed_var = start_speed * start_speed

    def move(self, dt_s: float, acceleration: float) -> None:
        """Move on by *dt_s*; each second the velocity's variance grows by *acceleration*, (px / s)^2."""
        self.x += self.vx * dt_s
        self.y += self.vy * dt_s
        self._position_var += dt_s * (2 * self._cross_var + dt_s * (self._speed_var + acceleration * dt_s / 3))
        self._cross_var += dt_s * (self._speed_var + acceleration * dt_s / 2)
        self._speed_var += acceleration * dt_s

    def slow_down(self, dt_s: float, time_constant_s: float) -> None:
        """Let the velocity decay for *dt_s*."""
        slowed = math.exp(-dt_s / time_constant_s)
        self.vx *= slowed
        self.vy *= slowed

    def correct(self, x: float, y: float, noise: float) -> None:
        """Take that it was seen at (*x*, *y*), with a standard deviation of *noise* per axis, px."""
        position_var, cross_var = self._position_var, self._cross_var
        total_var = position_var + noise * noise
        position_gain, speed_gain = position_var / total_var, cross_var / total_var
        dx, dy = x - self.x, y - self.y
        self.x += position_gain * dx
        self.y += position_gain * dy
        self.vx += speed_gain * dx
        self.vy += speed_gain * dy
        self._speed_var -= speed_gain * cross_var
        self._cross_var = (1 - position_gain) * cross_var
        self._position_var = (1 - position_gain) * position_var

    def variance(self, noise: float) -> float:
        """Return the variance, per axis, of where it should now be seen with a standard deviation of *noise*, px^2."""
        return self._position_var + noise * noise
