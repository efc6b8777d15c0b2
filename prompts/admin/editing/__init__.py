"""The page on which staff write a version, with a preview of what is typed."""
