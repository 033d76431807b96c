"""Jobs: training runs beside the service, one at a time, each in a process of its own.

    a request -> checked -> jobs/ID/job.json -> the queue
              -> the runner, a thread: `hubel job jobs/ID`, with lower priority and limited memory
                   its progress: JSON lines on its standard output -> events
                   its result:   jobs/ID/work/result.json, and the bundle beside it
              -> promotion: held back in the pin file -> into the models folder -> loaded
                   -> promoted, offered or held

The process ends with the service. A job that was interrupted says so, and can be resumed.
"""
