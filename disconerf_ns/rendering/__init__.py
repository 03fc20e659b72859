"""Pictures of an arranged scene: rays, frames, previews, the table of outputs, films."""
