# The object store alone, built from its Go module; a program that was built before may be mounted at /programs/minio.
ARG GO=golang:1.26.8-bookworm
FROM ${GO} AS build
WORKDIR /src
COPY tests/support/cluster/go/minio ./
RUN if [ -x /programs/minio ]; then cp /programs/minio /minio; \
    else CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /minio github.com/minio/minio; fi

FROM scratch
COPY --from=build /minio /minio
USER 10001:10001
ENTRYPOINT ["/minio"]
LABEL org.opencontainers.image.title="contimg-minio" \
      org.opencontainers.image.description="MinIO server for Contimg" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="AGPL-3.0-only"
