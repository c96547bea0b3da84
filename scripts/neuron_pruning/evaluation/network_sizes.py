"""What is counted of a network before and after a cut."""

SIZES = {
    "parameters": "parameters",
    "multiply_adds": "multiply-adds per image",
    "file_bytes": "bytes of the stored weights",
}  # by column, without ``_before`` or ``_after``
