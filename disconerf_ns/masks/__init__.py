"""2D masks of the photographs: where they are kept, what is done to them, and what proposes them."""
