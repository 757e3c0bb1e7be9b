# Contimg itself, without dependencies, as it lies in the image of every service.
ARG BASE=contimg-core
FROM ${BASE} AS build
USER 0:0
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY shared shared
COPY services services
COPY operator operator
RUN PIP_CONSTRAINT=constraints.txt pip install --no-cache-dir --no-deps --root /built .
USER 10001:10001

FROM scratch
COPY --from=build /built/opt/contimg /opt/contimg
LABEL org.opencontainers.image.title="contimg-source" \
      org.opencontainers.image.description="Contimg without its dependencies" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="BSD-3-Clause"
