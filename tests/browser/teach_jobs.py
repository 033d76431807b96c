"""A stand-in for /api/v1/jobs in tests of the page Teach: what a job says, as the test decides."""

import json
import re

COMPARISON = {
    "verdict": "not_worse",
    "reason": "Of 20 photos both versions predict the right label for 19.",
    "rule": "A version is promoted unless it is worse by more than two points.",
    "photos": 20,
    "sources": {"test": 20, "cross_fitted": 0},
    "serving": {"version": 1, "accuracy": 0.95, "ece": 0.04},
    "candidate": {"version": 2, "accuracy": 0.95, "ece": 0.03},
    "labels": [
        {"label": "red", "photos": 10, "serving": 0.9, "candidate": 1.0, "is_lost": False},
        {"label": "green", "photos": 10, "serving": 1.0, "candidate": 0.9, "is_lost": True},
    ],
    "disagreements": [
        {
            "photo": "red/1.jpg",
            "label": "red",
            "serving": {"label": "green", "probability": 0.6},
            "candidate": {"label": "red", "probability": 0.8},
            "picture": None,
        }
    ],
}
PROGRESS = {"step": "queued", "detail": "", "done": None, "total": None, "seconds_left": None}
EMBEDDING = {**PROGRESS, "step": "embedding photos", "done": 3, "total": 12, "seconds_left": 8.2}


class JobsStandIn:
    """Responds to the page's requests about jobs.

    Attributes:
        jobs: what GET /api/v1/jobs returns.
        requests: the bodies of POST /api/v1/jobs.
        states: changes of the job that its next stream of events sends, in their order.
        refusal: the problem of POST /api/v1/jobs, if it has one.
        cancelled: ids of jobs that were cancelled.
    """

    def __init__(self, page, jobs=()):
        self.jobs = list(jobs)
        self.requests = []
        self.states = []
        self.refusal = None
        self.cancelled = []
        page.route("**/api/v1/jobs**", self._list)
        page.route("**/api/v1/jobs/**", self._one)

    def _list(self, route):
        if route.request.method == "GET":
            return _json(route, {"jobs": self.jobs})
        if self.refusal:
            return _json(route, self.refusal, self.refusal["status"])
        self.requests.append(route.request.post_data_json)
        self.jobs.insert(0, job(request=self.requests[-1]))
        return _json(route, self.jobs[0], 202)

    def _one(self, route):
        (id,) = re.findall(r"/api/v1/jobs/(\w+)", route.request.url)
        if route.request.method == "DELETE":
            self.cancelled.append(id)
            self.states = [{"state": "cancelled"}]
            return _json(route, self.jobs[0])
        told = []
        for change in self.states:
            self.jobs[0] = {**self.jobs[0], **change}
            told.append(f"event: job\nid: {len(told)}\ndata: {json.dumps(self.jobs[0])}\n\n")
        return route.fulfill(body="".join(told), content_type="text/event-stream")


def job(**changes):
    """Return a job that waits, or one that `changes` describe."""
    return {
        "id": "j1",
        "kind": "train",
        "state": "queued",
        "request": {"train": {"dataset": "my-model", "model": "colours"}},
        "progress": PROGRESS,
        "problem": None,
        "result": None,
        "can_resume": False,
        **changes,
    }


def result(**changes):
    """Return the result of a job: a version of the tiny model."""
    return {
        "model": "colours",
        "version": 2,
        "accuracy": 0.95,
        "photos": 12,
        "outcome": "offered",
        "reason": COMPARISON["reason"],
        "report": None,
        "comparison": COMPARISON,
        **changes,
    }


def _json(route, value, status=200):
    route.fulfill(status=status, body=json.dumps(value), content_type="application/json")
