"""Pages, tables and figures about runs and studies."""
