ARG BASE=contimg-core
ARG SOURCE=contimg-source
FROM ${SOURCE} AS source
FROM ${BASE}
COPY --from=source /opt/contimg /opt/contimg
ENTRYPOINT ["python", "-m", "contimg.keeper"]
LABEL org.opencontainers.image.title="contimg-keeper" \
      org.opencontainers.image.description="Contimg: knows what is on the volumes of a shard" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="BSD-3-Clause"
