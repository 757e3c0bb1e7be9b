ARG BASE=contimg-casa
ARG SOURCE=contimg-source
FROM ${SOURCE} AS source
FROM ${BASE}
COPY --from=source /opt/contimg /opt/contimg
ENTRYPOINT ["python", "-m", "contimg_image"]
LABEL org.opencontainers.image.title="contimg-image" \
      org.opencontainers.image.description="Contimg, stage image: visibilities become images" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="BSD-3-Clause AND GPL-3.0-or-later AND LGPL-2.0-or-later"
