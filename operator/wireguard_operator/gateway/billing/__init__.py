"""What billing systems say about subscribers: signed webhooks, and the full set of who is suspended."""
