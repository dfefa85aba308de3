{{- /* The environment. Takes `root`, `component` and `image`. */ -}}
{{- define "image-backend.environment" -}}
{{- $values := .root.Values -}}
{{- $set := dict "SERVICE_PORT" "8080" "METRICS_PORT" "8081" "TEMP_FOLDER" "/tmp"
      "RESIZER_WORKERS" (include "image-backend.workers" .root) -}}
{{- if eq $values.settings.STORAGE_BACKEND "local" -}}
{{- $set = merge $set (dict "INCOMING_FOLDER" "/data/incoming" "ACTIVE_FOLDER" "/data/active") -}}
{{- end -}}
{{- if has .component (list "ingest" "standalone") -}}
{{- $set = merge $set (dict "TRUSTED_PROXIES" (join "," $values.trustedProxies)) -}}
{{- end -}}
{{- range $name, $value := merge $set $values.settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- $secrets := ternary $values.storeSecretKeys list (eq $values.settings.STORAGE_BACKEND "s3") -}}
{{- if not $values.standalone }}{{ $secrets = append $secrets "RABBITMQ_URL" }}{{ end -}}
{{- if has .component (list "publisher" "standalone") }}{{ $secrets = append $secrets "API_SECRET_KEY" }}{{ end -}}
{{- if eq .component "migrate" }}{{ $secrets = append $secrets "V5_DATABASE_URL" }}{{ end -}}
{{- range $secrets }}
- name: {{ . }}
  valueFrom:
    secretKeyRef:
      name: {{ required "existingSecret names the Secret with API_SECRET_KEY and the others" $values.existingSecret }}
      key: {{ . }}
{{- end }}
{{- end }}

{{- /* What all pods have. Takes `root`, `component` and `image`. */ -}}
{{- define "image-backend.pod" -}}
serviceAccountName: {{ .root.Release.Name }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
volumes:
  - name: temporary
    emptyDir: {sizeLimit: {{ .root.Values.temporaryFolderSize }}}
  {{- if eq .root.Values.settings.STORAGE_BACKEND "local" }}
  - name: images
    persistentVolumeClaim: {claimName: {{ include "image-backend.claim" .root }}}
  {{- end }}
{{- end }}

{{- /* What the one container of each pod has. Takes `root`, `component` and `image`. */ -}}
{{- define "image-backend.container" -}}
name: {{ .component }}
image: {{ printf "%s/%s:%s" (required "images says where the images are" .root.Values.images) .image
          (required "version says which images" .root.Values.version) }}
env:
  {{- include "image-backend.environment" . | trim | nindent 2 }}
resources:
  {{- include "image-backend.resources" . | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: temporary, mountPath: /tmp}
  {{- if eq .root.Values.settings.STORAGE_BACKEND "local" }}
  - {name: images, mountPath: /data}
  {{- end }}
{{- end }}

{{- /* The pod of a command that runs and ends. Takes `root`, `component`, `image` and `arguments`. */ -}}
{{- define "image-backend.commandPod" -}}
metadata:
  labels:
    {{- include "image-backend.labels" . | nindent 4 }}
spec:
  restartPolicy: Never
  {{- include "image-backend.pod" . | nindent 2 }}
  {{- if and .root.Values.standalone (eq .root.Values.settings.STORAGE_BACKEND "local") }}
  # A volume that one node has is where the service is.
  affinity:
    podAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        - topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "image-backend.selector" (dict "root" .root "component" "standalone") | nindent 14 }}
  {{- end }}
  containers:
    - args: {{ prepend .arguments .component | toJson }}
      {{- include "image-backend.container" . | nindent 6 }}
{{- end }}
