"""What nerfstudio and viser make necessary, and their private names, in one place."""
