"""What a chain wants to know: pages, tables, and the figures on them. It only reads the store."""
