ARG BASE=contimg-science
ARG SOURCE=contimg-source
FROM ${SOURCE} AS source
FROM ${BASE}
COPY --from=source /opt/contimg /opt/contimg
ENTRYPOINT ["python", "-m", "contimg_convert"]
LABEL org.opencontainers.image.title="contimg-convert" \
      org.opencontainers.image.description="Contimg, stage convert: raw files become a measurement set" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="BSD-3-Clause AND GPL-3.0-or-later"
