{{/* Names and labels. A component is called <release>-<component>. */}}

{{- define "contimg.name" -}}
{{ .root.Release.Name }}-{{ .component }}
{{- end }}

{{- define "contimg.selector" -}}
app.kubernetes.io/name: contimg
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "contimg.labels" -}}
{{ include "contimg.selector" . }}
app.kubernetes.io/part-of: contimg
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* Metadata of an object of a component: dict root, component and, where it has another name, name. */}}
{{- define "contimg.metadata" -}}
name: {{ .name | default (include "contimg.name" .) }}
namespace: {{ .root.Release.Namespace }}
labels: {{- include "contimg.labels" . | nindent 2 }}
{{- end }}

{{/* Reference of the image of a service: by digest where one is given. */}}
{{- define "contimg.image" -}}
{{- $image := .root.Values.image -}}
{{- $digest := index $image.digests .component -}}
{{- with $image.registry }}{{ . }}/{{ end }}contimg-{{ .component }}
{{- if $digest }}@{{ $digest }}{{ else }}:{{ $image.tag | default .root.Chart.AppVersion }}{{ end }}
{{- end }}

{{/* Secret with the passwords of the message server's users. */}}
{{- define "contimg.busSecret" -}}
{{- $nats := .Values.nats -}}
{{- if $nats.enabled }}{{ $nats.existingSecret | default (printf "%s-bus" .Release.Name) }}{{ else }}{{ $nats.external.existingSecret }}{{ end }}
{{- end }}

{{- define "contimg.busUrl" -}}
{{- if .Values.nats.enabled -}}
{{ if .Values.nats.tls.existingSecret }}tls{{ else }}nats{{ end }}://{{ .Release.Name }}-nats:4222
{{- else }}{{ .Values.nats.external.url }}{{ end }}
{{- end }}

{{- define "contimg.storeSecret" -}}
{{- $store := .Values.store -}}
{{- if $store.minio.enabled }}{{ $store.minio.existingSecret | default (printf "%s-store" .Release.Name) }}{{ else }}{{ $store.external.existingSecret }}{{ end }}
{{- end }}

{{/* Address of the object store with its bucket; empty: products are published on disk alone. */}}
{{- define "contimg.storeUrl" -}}
{{- $store := .Values.store -}}
{{- if $store.minio.enabled -}}
http{{ if $store.minio.tls.existingSecret }}s{{ end }}://{{ .Release.Name }}-minio:9000/{{ $store.bucket }}
{{- else if $store.external.url }}{{ trimSuffix "/" $store.external.url }}/{{ $store.bucket }}{{ end }}
{{- end }}

{{/* ConfigMap with the certificates that are trusted, for bus and store alike; empty: the system's. */}}
{{- define "contimg.caMap" -}}
{{- if .Values.ca.existingConfigMap }}{{ .Values.ca.existingConfigMap }}{{ else if .Values.ca.pem }}{{ .Release.Name }}-ca{{ end }}
{{- end }}

{{/* Bytes of a quantity such as 20Gi or 500M. */}}
{{- define "contimg.bytes" -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $number := regexFind "^[0-9.]+" . -}}
{{- mulf (float64 $number) (get $units (trimPrefix $number .)) | int64 -}}
{{- end }}

{{/* Services as generated from the stages' declarations, by name. */}}
{{- define "contimg.services" -}}
{{ .Files.Get "files/services.yaml" }}
{{- end }}

{{/* What the values say about a service. */}}
{{- define "contimg.chosen" -}}
{{- $own := list "operator" "keeper" "ingest" -}}
{{- if has .component $own }}{{ index .root.Values .component | toYaml }}{{ else }}{{ index .root.Values.stages .component | default dict | toYaml }}{{ end }}
{{- end }}
