{{/* Name of the volume of a directory on a node: two releases that name the same one meet, and Helm refuses the second. */}}
{{- define "contimg.localVolume" -}}
contimg-{{ printf "%s:%s" .local.node (clean .local.path) | sha256sum | trunc 16 }}
{{- end }}
