"""Values to bytes and back: PostgreSQL types in text and binary."""
