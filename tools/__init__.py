"""What maintainers run; none of it ships."""
