"""The cycle engines: the readable reference and its fast twin. They see a plan and nothing else."""
