"""2D masks of the photographs: proposers that make them, filters, file formats, and the store on disk."""
