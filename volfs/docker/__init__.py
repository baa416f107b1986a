"""The volume plugin of Docker and podman: volumes of volfs under names of Docker."""
