"""The units of systemd for the plugin, as files to install."""

from __future__ import annotations

SOCKET = "/run/docker/plugins/volfs.sock"
"""Where Docker looks for the plugin."""
_SERVICE_UNIT = """\
[Unit]
Description=volfs volumes for Docker
Documentation=man:volfs-docker-serve(1)
Requires=volfs-docker.socket
After=volfs-docker.socket
Before=docker.service

[Service]
# VOLFS_STORE, and what a store in a bucket needs.
EnvironmentFile=-/etc/default/volfs
ExecStart={volfs} docker serve
# The daemons of mounts go on while the plugin is away.
KillMode=process
Restart=on-failure
# No option may give the plugin a mount namespace of its own: Docker must see its mounts.

[Install]
WantedBy=multi-user.target
Also=volfs-docker.socket
"""
_SOCKET_UNIT = """\
[Unit]
Description=Socket of volfs for Docker
Before=docker.service

[Socket]
ListenStream={socket}
SocketMode=0600
DirectoryMode=0755

[Install]
WantedBy=sockets.target
"""


def make_units(volfs: str) -> dict[str, str]:
    """The text of each unit by its name. ``volfs`` is the command, with an absolute path."""
    return {
        "volfs-docker.service": _SERVICE_UNIT.format(volfs=volfs),
        "volfs-docker.socket": _SOCKET_UNIT.format(socket=SOCKET),
    }
