"""Surface points of the training views, sampled once from the frozen radiance field and stored by memory budget."""
