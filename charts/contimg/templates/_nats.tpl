{{/*
Configuration of nats-server; users and their subjects are generated from contimg.access. Variables come from the
environment, where nats-server reads them as configuration: passwords stand in quotes there.
*/}}
{{- define "contimg.natsConfig" -}}
{{- $nats := .Values.nats -}}
server_name: $POD_NAME
listen: "0.0.0.0:4222"
http: "0.0.0.0:8222"
max_payload: 1MB
jetstream {
  store_dir: /data
  max_memory_store: 16MB
  max_file_store: {{ include "contimg.bytes" $nats.storage.size }}
  sync_interval: {{ $nats.syncInterval | quote }}
}
{{- if $nats.tls.existingSecret }}
tls {
  cert_file: /etc/nats-tls/tls.crt
  key_file: /etc/nats-tls/tls.key
}
{{- end }}
{{- if gt (int $nats.replicas) 1 }}
cluster {
  name: {{ .Release.Name }}
  listen: "0.0.0.0:6222"
  authorization {user: cluster, password: $CONTIMG_PASSWORD_CLUSTER, timeout: 5}
  routes: $CONTIMG_ROUTES
}
{{- end }}
{{ .Files.Get "files/authorization.conf" | replace "@SHARD@" .Values.shard | trim }}
{{- end }}
