"""The responses of /api/v1/jobs; a job itself is app.jobs.job.Job."""

from pydantic import BaseModel

from app.jobs.job import Job


class JobList(BaseModel):
    """All jobs whose record is kept, the newest first."""

    jobs: list[Job]
