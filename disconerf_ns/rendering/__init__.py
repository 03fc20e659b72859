"""Pictures of an arranged scene: rays, frames, previews, and the table of outputs."""
