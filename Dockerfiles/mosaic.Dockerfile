ARG BASE=contimg-science
ARG SOURCE=contimg-source
FROM ${SOURCE} AS source
FROM ${BASE}
COPY --from=source /opt/contimg /opt/contimg
ENTRYPOINT ["python", "-m", "contimg_mosaic"]
LABEL org.opencontainers.image.title="contimg-mosaic" \
      org.opencontainers.image.description="Contimg, stage mosaic: images of a group become one" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="BSD-3-Clause AND GPL-3.0-or-later"
