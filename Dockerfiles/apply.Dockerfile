ARG BASE=contimg-science
ARG SOURCE=contimg-source
FROM ${SOURCE} AS source
FROM ${BASE}
COPY --from=source /opt/contimg /opt/contimg
ENTRYPOINT ["python", "-m", "contimg_apply"]
LABEL org.opencontainers.image.title="contimg-apply" \
      org.opencontainers.image.description="Contimg, stage apply: calibration is applied" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="BSD-3-Clause AND GPL-3.0-or-later"
