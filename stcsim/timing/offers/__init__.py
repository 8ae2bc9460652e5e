"""Which kernels may be launched for a problem, and what each is estimated to take."""
