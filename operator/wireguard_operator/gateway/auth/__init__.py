"""Who calls, and what RBAC lets them do: TokenReview and SubjectAccessReview, remembered for a few seconds."""
