#!/usr/bin/env bash
# Makes the image that stands for python:3.11-slim-bookworm where no registry can be reached: Debian 12 with Python 3.11.
# Usage: base.sh   -> localhost/contimg-base:bookworm; the tar is kept in the cache (45 s the first time, then 3 s)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

NAME=localhost/contimg-base:bookworm
TAR=$CONTIMG_CACHE/base-bookworm.tar

# A bind mount over /etc/ssl/certs, which builds behind a proxy need, forbids apt to configure ca-certificates later: here.
make_tar() {
  local root
  root=$(mktemp -d)
  say "making the base image with debootstrap (once, a minute)"
  debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv bookworm "$root" >"$TAR.log" 2>&1 \
    || die "debootstrap failed; see $TAR.log"
  ln -s /usr/bin/python3 "$root/usr/local/bin/python"
  rm -rf "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/var/log/* \
    "$root"/usr/share/{doc,man,locale}/*
  tar --sort=name --mtime=@0 -C "$root" -cf "$TAR.part" .
  mv "$TAR.part" "$TAR"
  rm -rf --one-file-system "$root"
}

mkdir -p "$CONTIMG_CACHE"
[ -s "$TAR" ] || make_tar
buildah inspect --type image "$NAME" >/dev/null 2>&1 && exit
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
ln "$TAR" "$context/base.tar" 2>/dev/null || cp "$TAR" "$context/base.tar"
printf 'FROM scratch\nADD base.tar /\nENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8\nCMD ["python3"]\n' >"$context/Dockerfile"
buildah bud -q --isolation chroot -t "$NAME" "$context" >/dev/null
