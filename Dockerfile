# docker build -t volfs .
#
# Commands that do not mount need no rights; the store lives in a volume:
#   docker run --rm -v volfs-store:/var/lib/volfs volfs create data
#
# A mount needs the FUSE device and the right to mount, and stays in the
# foreground, because a container ends with its first process:
#   docker run -d --name data --device /dev/fuse --cap-add SYS_ADMIN \
#       --security-opt apparmor=unconfined \
#       -v volfs-store:/var/lib/volfs volfs mount --foreground data /mnt
#   docker exec data volfs commit /mnt -m 'first files'
#   docker stop --timeout 60 data        # commits, then unmounts
#
# Containers that open one store, each with its own volfs, need the same process
# ids, by which LMDB tells them apart: add --pid=host to each of them.
#
# For other containers to see the mount, give it a shared directory of the host
# and let others in:
#   -v /srv/data:/mnt/data:rshared ... volfs mount --foreground --allow-other data /mnt/data
#
# `--user volfs` works too; it then has to own the mount point.

FROM python:3.12-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev pkg-config libfuse3-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY volfs volfs
COPY cli cli
RUN pip wheel --no-cache-dir --wheel-dir /wheels '.[mount]'

FROM python:3.12-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap fuse3 \
    && rm -rf /var/lib/apt/lists/* \
    && sed -i 's/^#user_allow_other/user_allow_other/' /etc/fuse.conf \
    && useradd --create-home --uid 1000 volfs \
    && install -d -o volfs -g volfs -m 0700 /var/lib/volfs
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels 'volfs[mount]'
ENV VOLFS_STORE=/var/lib/volfs \
    PYTHONUNBUFFERED=1
VOLUME /var/lib/volfs
ENTRYPOINT ["volfs"]
CMD ["--help"]
