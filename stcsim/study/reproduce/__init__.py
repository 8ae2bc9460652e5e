"""Published case studies, predicted: the publications as data, and their runner."""
