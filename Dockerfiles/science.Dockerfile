# What the stages need but CASA.
ARG BASE=contimg-core
FROM ${BASE}
COPY Dockerfiles/science.txt /opt/contimg/
USER 0:0
RUN pip install --no-cache-dir --only-binary=:all: --no-deps -r /opt/contimg/science.txt
USER 10001:10001
LABEL org.opencontainers.image.title="contimg-science" \
      org.opencontainers.image.description="Dependencies of Contimg's stages" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="BSD-3-Clause AND GPL-3.0-or-later"
