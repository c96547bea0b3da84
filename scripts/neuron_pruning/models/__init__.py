"""Networks: architectures, building, initialisation, network files, export."""
