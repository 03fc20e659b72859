"""Surface points of the training views: taken once from the frozen radiance field, packed, kept by budget."""
