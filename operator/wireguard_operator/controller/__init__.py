"""The controller: watches the kinds through kopf and makes the world as they say.

Event handlers only record and mark (``cache``); one pipeline per server does the work (``pipeline``), from the
decision through addresses, Secrets and the agent to the status (``status_writer``).
"""
