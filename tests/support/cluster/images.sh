#!/usr/bin/env bash
# Builds the images of Dockerfiles/ and loads them into the node, when it is up. What did not change is taken from the cache:
# an image's key is the checksum of its Dockerfile, of what it copies, and of the images it stands on.
# Usage: images.sh [IMAGE ...]      IMAGE: core science casa source nats minio or a service; default: all
# CONTIMG_BASE names another base, e.g. python:3.11-slim-bookworm where a registry can be reached.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

BASE=${CONTIMG_BASE:-localhost/contimg-base:bookworm}
LAYOUT=$CONTIMG_CACHE/images
VERSION=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$ROOT/pyproject.toml" | head -1)
SERVICES=(operator keeper ingest convert group solve apply image mosaic crossmatch publish)
declare -A KEYS=([base]=$BASE)

argument() { sed -n "s/^ARG $2=contimg-\([a-z]*\)\$/\1/p" "$ROOT/Dockerfiles/$1.Dockerfile"; }

# The images of ours that a Dockerfile stands on, in the order to build them.
parents() { argument "$1" BASE; argument "$1" SOURCE; }

# Checksum of the files that a Dockerfile copies from the checkout.
copied() { # FILE
  local path
  (cd "$ROOT" && sed -n 's/^COPY \([^-].*\) [^ ]*$/\1/p' "$1" | tr ' ' '\n' | while read -r path; do
    find "$path" -type f -not -path '*/__pycache__/*' -not -path '*.egg-info/*' -print0; done | sort -z | xargs -0r sha256sum)
}

compute_key() { # IMAGE; its parents have theirs
  local file=Dockerfiles/$1.Dockerfile parent
  { cat "$ROOT/$file"; copied "$file"; echo "$BASE"; for parent in $(parents "$1"); do echo "${KEYS[$parent]}"; done
  } | sha256sum | cut -c1-16
}

# pip in the build reads the machine's settings and trusts its certificates; neither stays in the image.
mounts() {
  local path
  for path in /etc/pip.conf /etc/ssl/certs; do [ -e "$path" ] && printf '%s\n' -v "$path:$path:ro"; done
  printf '%s\n' -v "$PROGRAMS:/programs:ro"
}

build() { # IMAGE
  local name=localhost/contimg-$1 arguments=() base source
  base=$(argument "$1" BASE); source=$(argument "$1" SOURCE)
  arguments+=(--build-arg "BASE=${base:+localhost/contimg-$base:${KEYS[$base]}}")
  [ -n "$base" ] || arguments=(--build-arg "BASE=$BASE" --build-arg "GO=$BASE")
  [ -z "$source" ] || arguments+=(--build-arg "SOURCE=localhost/contimg-$source:${KEYS[$source]}")
  mapfile -t -O "${#arguments[@]}" arguments < <(mounts)
  say "building contimg-$1"
  buildah bud -q --isolation chroot --network host "${arguments[@]}" -t "$name:${KEYS[$1]}" \
    -f "$ROOT/Dockerfiles/$1.Dockerfile" "$ROOT" >"$LAYOUT.log" 2>&1 || { tail -30 "$LAYOUT.log" >&2; die "contimg-$1 could not be built"; }
  # buildah 1.28 forgets the container of a stage without commands, which the file of every service has.
  buildah containers -q --filter name=contimg-source-working-container | xargs -r buildah rm >/dev/null
}

make() { # IMAGE, after its parents
  local parent
  [ -z "${KEYS[$1]:-}" ] || return 0
  [ -f "$ROOT/Dockerfiles/$1.Dockerfile" ] || die "no image '$1': there is no Dockerfiles/$1.Dockerfile"
  for parent in $(parents "$1"); do make "$parent"; done
  KEYS[$1]=$(compute_key "$1")
  buildah inspect --type image "localhost/contimg-$1:${KEYS[$1]}" >/dev/null 2>&1 || build "$1"
}

# One directory holds all images, their layers not compressed: one that several share, or that did not change, is not read again.
store() { # IMAGE
  local key=${KEYS[$1]}
  [ "$(cat "$LAYOUT/keys/$1" 2>/dev/null)" = "$key" ] && return
  skopeo copy -q --dest-oci-accept-uncompressed-layers "containers-storage:localhost/contimg-$1:$key" \
    "oci:$LAYOUT/oci:localhost/contimg-$1:$VERSION" 2>"$LAYOUT.log" || { cat "$LAYOUT.log" >&2; die "contimg-$1 could not be stored"; }
  buildah tag "localhost/contimg-$1:$key" "localhost/contimg-$1:$VERSION"
  echo "$key" >"$LAYOUT/keys/$1"
}

# Hands the node the blobs that it does not have; the shared layers go there once.
load() {
  local blobs=$CLUSTER/blobs
  cmp -s "$LAYOUT/oci/index.json" "$CLUSTER/loaded.json" && return
  node_ctr content ls -q | sed 's#:#/#' | sort >"$blobs"
  (cd "$LAYOUT/oci" && find blobs -type f | sed 's#^blobs/##' | sort | comm -23 - "$blobs" | sed 's#^#blobs/#' \
    | tar -cf - oci-layout index.json -T -) | node_ctr images import - >"$LAYOUT.log" 2>&1 \
    || { cat "$LAYOUT.log" >&2; die "the images could not be loaded into the node"; }
  cp "$LAYOUT/oci/index.json" "$CLUSTER/loaded.json"
}

mkdir -p "$LAYOUT/keys"
exec 8>"$LAYOUT/.lock"
flock 8
[ -n "${CONTIMG_BASE:-}" ] || "$HERE/base.sh"
[ $# -gt 0 ] || set -- "${SERVICES[@]}" nats minio
case " $* " in *" minio "*) "$HERE/programs.sh" minio ;; esac
for name in "$@"; do make "$name"; done
for name in "$@"; do case $name in core | science | casa | source) ;; *) store "$name" ;; esac; done
[ -S "$CLUSTER/containerd/sock" ] && node_ctr version >/dev/null 2>&1 && load
say "images ${*} are ready as localhost/contimg-<name>:$VERSION ($SECONDS s)"
