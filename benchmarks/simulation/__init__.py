"""A simulation of the service: one machine, then many pods behind a load balancer.

costs        what a photo, a request and a refusal take of a core, measured
machine      one machine: cores, the event loop, the engine's threads, and its real queue
calibration  the machine against the measured service, at several times the capacity
cluster      pods behind a load balancer, with the autoscaler of Kubernetes
plan         from photos a second to pods and money
"""
