# CASA with those of its data tables that are read: Earth orientation, leap seconds, observatories, positions of the planets.
# The other directories stay, empty: CASA takes data without them for damaged.
ARG BASE=contimg-science
FROM ${BASE}
COPY Dockerfiles/casa.txt /opt/contimg/
USER 0:0
RUN pip install --no-cache-dir --only-binary=:all: --no-deps -r /opt/contimg/casa.txt \
 && find /opt/contimg/lib/python3.11/site-packages/casadata/__data__ -mindepth 2 -maxdepth 2 \
      ! -path '*/geodetic/*' ! -path '*/ephemerides/DE200' -exec rm -r {} +
USER 10001:10001
LABEL org.opencontainers.image.title="contimg-casa" \
      org.opencontainers.image.description="CASA and the dependencies of Contimg's stages" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="BSD-3-Clause AND GPL-3.0-or-later AND LGPL-2.0-or-later"
