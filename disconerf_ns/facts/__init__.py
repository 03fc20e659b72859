"""What is known of every object: where it is and how large, which photographs show it best, what is beside it."""
