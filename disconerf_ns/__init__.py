"""DiscoNeRF for nerfstudio: object fields from 2D masks that disagree from view to view."""

__version__ = "0.1.0"
