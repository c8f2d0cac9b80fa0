"""The subscriber's page behind a link, and the page of the provider's staff."""
