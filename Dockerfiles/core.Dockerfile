# What operator, keeper and command line need: the dependencies of the distribution and of its extra `operator`, exactly pinned.
# BASE: any image with Python 3.11 and its module venv.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}
COPY Dockerfiles/core.txt /opt/contimg/
RUN python3 -m venv /opt/contimg \
 && /opt/contimg/bin/pip install --no-cache-dir --only-binary=:all: --no-deps -r /opt/contimg/core.txt \
 && groupadd --gid 10001 contimg \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin contimg
# The root is read-only: no byte code is written beside modules. Their own byte code was compiled by pip.
ENV PATH=/opt/contimg/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
LABEL org.opencontainers.image.title="contimg-core" \
      org.opencontainers.image.description="Dependencies of Contimg's operator, keeper and command line" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="BSD-3-Clause"
