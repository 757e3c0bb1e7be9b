ARG BASE=contimg-core
ARG SOURCE=contimg-source
FROM ${SOURCE} AS source
FROM ${BASE}
COPY --from=source /opt/contimg /opt/contimg
ENTRYPOINT ["python", "-m", "contimg_operator"]
LABEL org.opencontainers.image.title="contimg-operator" \
      org.opencontainers.image.description="Contimg: what observation groups, pipelines and surveys ask for is done" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="BSD-3-Clause"
