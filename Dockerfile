# docker build -t volfs .
#
# Commands that do not mount need no rights; the store lives in a volume:
#   docker run --rm -v volfs-store:/var/lib/volfs volfs create data
#
# A mount needs the FUSE device and the right to mount, and stays in the
# foreground, because a container ends with its first process:
#   docker run -d --name data --device /dev/fuse --cap-add SYS_ADMIN \
#       --security-opt apparmor=unconfined \
#       -v volfs-store:/var/lib/volfs volfs mount --foreground data /data
#   docker exec data volfs commit /data -m 'first files'
#   docker stop data                     # commits, then unmounts
#
# What cannot be committed in seven seconds stays in the store when the container is
# stopped, as after a kill, and the next mount of the volume at that path has it.
#
# Containers that open one store, each with its own volfs, need the same process
# ids, by which LMDB tells them apart: add --pid=host to each of them, or
# --pid=container:data to those that are to see what `data` has mounted.
#
# For the host and other containers to see the mount, let it be made in a directory
# that they share with it, on a shared mount as / is under systemd, and let others in:
#   -v /srv/volfs:/srv/volfs:rshared ... volfs mount --foreground --allow-other data /srv/volfs/data
#   docker run -v /srv/volfs:/srv/volfs:rslave ...
#
# `volfs run` takes the same rights, and of Docker's guards one more must go:
#   --security-opt seccomp=unconfined
#
# `--user volfs` works, too: /data is that user's, another mount point has to be.
# /dev/fuse has to be open to all, as udev makes it.

FROM debian:bookworm-slim AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        gcc libc6-dev libfuse3-dev pkg-config python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY setup.py pyproject.toml README.md LICENSE ./
COPY volfs volfs
COPY cli cli
RUN python3 -m venv /opt/volfs && /opt/volfs/bin/pip install --no-cache-dir '.[mount,buckets,redis]'

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        bubblewrap ca-certificates fuse3 python3 tini \
    && rm -rf /var/lib/apt/lists/* \
    && sed -i 's/^#user_allow_other/user_allow_other/' /etc/fuse.conf \
    && useradd --create-home --uid 1000 volfs \
    && install -d -o volfs -g volfs -m 0700 /var/lib/volfs \
    && install -d -o volfs -g volfs /data
COPY --from=build /opt/volfs /opt/volfs
ENV PATH=/opt/volfs/bin:$PATH \
    VOLFS_STORE=/var/lib/volfs \
    PYTHONUNBUFFERED=1
VOLUME /var/lib/volfs
ENTRYPOINT ["tini", "-s", "--", "volfs"]
CMD ["--help"]
