"""Private names of nerfstudio and viser, and workarounds that their versions make necessary, in one place."""
