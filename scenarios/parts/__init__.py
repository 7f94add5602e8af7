"""What several scenarios share: documents that they apply, and statements that they make in the same words."""
