# SPDX-License-Identifier: Apache-2.0
"""A clock for bounds: it stands still while the machine does.

A machine that does other work holds everything up for seconds, this program and what
it tests alike. A thread that wants to run every few milliseconds sees that, and the
time in which it could not run is no time that anything under test has taken."""

import threading
import time

STEP_S = 0.01
LATE_S = 0.01  # as late as that it may always be


class Pace(threading.Thread):
    def __init__(self):
        super().__init__(daemon=True)
        self.lock, self.held_up_s, self.last = threading.Lock(), 0.0, time.monotonic()
        self.start()

    def _late(self, now):
        return max(0.0, now - self.last - STEP_S - LATE_S)

    def run(self):
        while True:
            time.sleep(STEP_S)
            with self.lock:
                now = time.monotonic()
                self.held_up_s += self._late(now)
                self.last = now

    def clock(self):
        """Seconds in which this machine ran; only differences mean anything."""
        with self.lock:
            now = time.monotonic()
            return now - self.held_up_s - self._late(now)


clock = Pace().clock
