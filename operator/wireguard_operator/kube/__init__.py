"""A small Kubernetes client for objects as dictionaries, on the official library's configuration and transport.

kopf watches; this package reads and writes. It exists because the pipeline needs merge patches on ``/status``,
server-side apply and paged lists of plain dictionaries, without the cost of generated model classes.
"""
