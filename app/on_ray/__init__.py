"""The service on Ray, whose Serve places, scales and restarts replicas of it.

`hubel serve --engine ray`, or a Serve config -> `hubel.on_ray` -> a deployment
each replica: settings -> `replica.create_app`, on the cores that Ray has assigned to it
"""
