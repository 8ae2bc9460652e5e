"""The kernel that a tuned library would choose, what it takes, and what more of each resource would save."""
