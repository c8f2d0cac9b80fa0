"""The gateway: HTTP for billing systems, staff and subscribers, on top of the custom resources alone.

It keeps nothing: what it knows comes from a watch, what it is told goes to the API server, and who may do what is RBAC.
"""
