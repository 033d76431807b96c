"""The autoscaler of Kubernetes with the settings of deploy/kubernetes, without its clock.

The algorithm is that of its documentation ("Horizontal Pod Autoscaling", kubernetes.io): for each
metric ceil(pods x mean / target), the highest counts; no change within 10 %. In `periodSeconds` the
number of pods grows by a percentage at most. It shrinks to the highest number that was wanted in
the stabilisation window.
"""

import math
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes" / "base" / "autoscaler.yaml"
TOLERANCE = 0.1
SYNC_S = 15.0
"""The time between two looks at the metrics."""


class Autoscaler:
    """The state of one autoscaler.

    Args:
        pods: the number of pods at the start.
        file: the HorizontalPodAutoscaler: one metric of pods, then the processor's use.
    """

    def __init__(self, pods: int, file: Path = FILE) -> None:
        spec: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))["spec"]
        queue, processor = spec["metrics"]
        self._queue_target = float(queue["pods"]["target"]["averageValue"])
        self._use_target = processor["resource"]["target"]["averageUtilization"] / 100
        (policy,) = spec["behavior"]["scaleUp"]["policies"]
        self._grow, self._period_s = 1 + policy["value"] / 100, policy["periodSeconds"]
        self._window_s = spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"]
        self._least, self._most = spec["minReplicas"], spec["maxReplicas"]
        self.pods = pods
        """The number of pods that there should be."""
        self._history = [(0.0, pods)]
        self._wishes: list[tuple[float, int]] = []

    def decide(self, now: float, ready: int, queued: float, used: float) -> int:
        """Set the number of pods, and return it.

        Args:
            now: seconds.
            ready: the number of pods that the metrics come from.
            queued: the mean number of images that wait in a pod.
            used: the mean share of its processor that a pod uses.
        """
        wish = max(
            _proportional(ready, queued / self._queue_target),
            _proportional(ready, used / self._use_target),
        )
        self._wishes = [each for each in self._wishes if now - each[0] < self._window_s]
        self._wishes.append((now, wish))
        if wish < self.pods:
            wish = min(self.pods, max(each for _, each in self._wishes))
        before = [pods for at, pods in self._history if at <= now - self._period_s]
        base = before[-1] if before else self._history[0][1]
        self.pods = max(self._least, min(wish, math.ceil(base * self._grow), self._most))
        self._history.append((now, self.pods))
        return self.pods


def _proportional(pods: int, ratio: float) -> int:
    return pods if abs(ratio - 1) <= TOLERANCE else math.ceil(pods * ratio)
