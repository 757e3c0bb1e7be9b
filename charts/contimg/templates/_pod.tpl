{{/* What all pods have in common. */}}

{{- define "contimg.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch  # a change of every file would make committed runs writable at each start
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "contimg.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "contimg.placement" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* All pods of a shard run on the node that has its volumes, unless every volume can be mounted on several. */}}
{{- define "contimg.together" -}}
{{- $single := false -}}
{{- range $name, $volume := .Values.volumes }}{{ if not (or (has "ReadWriteMany" $volume.accessModes) (has "ReadOnlyMany" $volume.accessModes)) }}{{ $single = true }}{{ end }}{{ end -}}
{{- if $single }}
affinity:
  podAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            app.kubernetes.io/instance: {{ .Release.Name }}
            contimg.dsa110.org/shard: {{ .Values.shard }}
{{- end }}
{{- end }}

{{/* Environment of a service: dict root, component, service. */}}
{{- define "contimg.env" -}}
{{- $values := .root.Values -}}
- {name: CONTIMG_SHARD, value: {{ $values.shard | quote }}}
- {name: CONTIMG_LOG_LEVEL, value: {{ $values.logLevel | quote }}}
- {name: CONTIMG_IMAGE, value: {{ include "contimg.image" . | quote }}}
{{- if ne (float64 $values.timeScale) 1.0 }}
- {name: CONTIMG_TIME_SCALE, value: {{ $values.timeScale | quote }}}
{{- end }}
{{- range $name, $value := $values.limits }}
- {name: CONTIMG_LIMIT_{{ upper $name }}, value: {{ ternary (int64 $value) $value (eq (int64 $value | float64) (float64 $value)) | quote }}}
{{- end }}
{{- if and $values.nats.enabled (gt (int $values.nats.replicas) 1) }}
- {name: CONTIMG_LIMIT_REPLICAS, value: {{ $values.nats.replicas | quote }}}
{{- end }}
{{- range $volume, $_ := .service.mounts }}
- {name: {{ include "contimg.mountVariable" $volume }}, value: /{{ $volume }}}
{{- end }}
{{- if include "contimg.inMemory" . }}
- {name: CONTIMG_WORKSPACE_DIR, value: /workspace}
{{- end }}
{{- with .service.user }}
- {name: CONTIMG_NATS_URL, value: {{ include "contimg.busUrl" $.root | quote }}}
- {name: CONTIMG_NATS_USER, value: {{ . | quote }}}
- name: CONTIMG_NATS_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ include "contimg.busSecret" $.root }}, key: {{ . }}}}
{{- if include "contimg.caMap" $.root }}
- {name: CONTIMG_NATS_CA, value: /etc/contimg/ca/ca.crt}
{{- end }}
{{- end }}
{{- if and .service.store (include "contimg.storeUrl" .root) }}
{{- include "contimg.storeEnv" (dict "root" .root "access" "access-key" "secret" "secret-key") | nindent 0 }}
{{- end }}
{{- end }}

{{- define "contimg.storeEnv" -}}
- {name: CONTIMG_S3_URL, value: {{ include "contimg.storeUrl" .root | quote }}}
- {name: CONTIMG_S3_REGION, value: {{ .root.Values.store.region | quote }}}
- name: CONTIMG_S3_ACCESS_KEY
  valueFrom: {secretKeyRef: {name: {{ include "contimg.storeSecret" .root }}, key: {{ .access }}}}
- name: CONTIMG_S3_SECRET_KEY
  valueFrom: {secretKeyRef: {name: {{ include "contimg.storeSecret" .root }}, key: {{ .secret }}}}
{{- if include "contimg.caMap" .root }}
- {name: CONTIMG_S3_CA, value: /etc/contimg/ca/ca.crt}
{{- end }}
{{- end }}

{{- define "contimg.mountVariable" -}}
{{ get (dict "staging" "CONTIMG_STAGE_BASE" "data" "CONTIMG_DATA_BASE" "state" "CONTIMG_STATE_DIR" "incoming" "CONTIMG_INCOMING_DIR") . }}
{{- end }}

{{/* Whether a service makes attempts, and in memory: dict root, component, service. The keeper makes none. */}}
{{- define "contimg.inMemory" -}}
{{- if and .root.Values.workspace.memory (hasKey .service.mounts "staging") (ne .component "keeper") }}true{{ end }}
{{- end }}

{{/* Mounts of a service's container: dict root, component, service. */}}
{{- define "contimg.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- range $volume, $mode := .service.mounts }}
- {name: {{ $volume }}, mountPath: /{{ $volume }}{{ if eq $mode "ro" }}, readOnly: true{{ end }}}
{{- end }}
{{- if include "contimg.inMemory" . }}
- {name: workspace, mountPath: /workspace}
{{- end }}
{{- if include "contimg.caMap" .root }}
- {name: ca, mountPath: /etc/contimg/ca, readOnly: true}
{{- end }}
{{- end }}

{{/* Volumes of a pod with the mounts of a service: dict root, component, service. */}}
{{- define "contimg.volumes" -}}
- name: tmp
  emptyDir: {}
{{- range $volume, $mode := .service.mounts }}
- name: {{ $volume }}
  persistentVolumeClaim:
    claimName: {{ (index $.root.Values.volumes $volume).existingClaim | default (printf "%s-%s" $.root.Release.Name $volume) }}
    {{- if eq $volume "incoming" }}
    readOnly: true
    {{- end }}
{{- end }}
{{- if include "contimg.inMemory" . }}
- name: workspace
  emptyDir: {medium: Memory, sizeLimit: {{ .root.Values.workspace.memory }}}
{{- end }}
{{- with include "contimg.caMap" .root }}
- name: ca
  configMap: {name: {{ . }}}
{{- end }}
{{- end }}

{{/* A Deployment of one service: dict root, component, service. */}}
{{- define "contimg.deployment" -}}
{{- $chosen := include "contimg.chosen" . | fromYaml -}}
{{- $keda := $chosen.keda | default dict -}}
apiVersion: apps/v1
kind: Deployment
metadata: {{- include "contimg.metadata" . | nindent 2 }}
spec:
  {{- if not $keda.enabled }}
  replicas: {{ if hasKey $chosen "replicas" }}{{ $chosen.replicas }}{{ else }}1{{ end }}
  {{- end }}
  revisionHistoryLimit: 3
  {{- if .service.single }}
  strategy: {type: Recreate}
  {{- else }}
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}
  {{- end }}
  selector:
    matchLabels: {{- include "contimg.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "contimg.selector" . | nindent 8 }}
        {{- if .service.mounts }}
        contimg.dsa110.org/shard: {{ .root.Values.shard }}
        {{- end }}
      {{- if .root.Values.ca.pem }}
      annotations:
        contimg.dsa110.org/ca: {{ sha256sum .root.Values.ca.pem }}
      {{- end }}
    spec:
      serviceAccountName: {{ include "contimg.name" . }}
      automountServiceAccountToken: {{ eq .component "operator" }}
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ .service.graceSeconds }}
      securityContext: {{- include "contimg.podSecurity" . | nindent 8 }}
      {{- include "contimg.placement" .root | nindent 6 }}
      {{- if .service.mounts }}
      {{- include "contimg.together" .root | nindent 6 }}
      {{- end }}
      containers:
        - name: {{ .component }}
          image: {{ include "contimg.image" . }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          env:
            - {name: CONTIMG_PORT, value: "8080"}
            {{- include "contimg.env" . | nindent 12 }}
            {{- if eq .component "ingest" }}
            - {name: CONTIMG_SCAN_S, value: {{ .root.Values.ingest.scanSeconds | quote }}}
            {{- end }}
          ports:
            - {name: http, containerPort: 8080}
          startupProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 5, timeoutSeconds: 5, failureThreshold: 60}
          livenessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 30, timeoutSeconds: 5, failureThreshold: 3}
          readinessProbe: {httpGet: {path: /readyz, port: http}, periodSeconds: 10, timeoutSeconds: 5}
          securityContext: {{- include "contimg.containerSecurity" . | nindent 12 }}
          resources: {{- $chosen.resources | default dict | toYaml | nindent 12 }}
          volumeMounts: {{- include "contimg.mounts" . | nindent 12 }}
      volumes: {{- include "contimg.volumes" . | nindent 8 }}
{{- end }}
