"""Studies: a specification of a grid, its cells on disk, and what is rendered from them."""
