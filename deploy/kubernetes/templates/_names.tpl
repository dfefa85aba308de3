{{- /* The labels that select the pods of one component. Takes a dict of `root` and `component`. */ -}}
{{- define "image-backend.selector" -}}
app.kubernetes.io/name: image-backend
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "image-backend.labels" -}}
{{ include "image-backend.selector" . }}
app.kubernetes.io/version: {{ .root.Values.version | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "image-backend.claim" -}}
{{ .Values.volume.existingClaim | default (printf "%s-images" .Release.Name) }}
{{- end }}

{{- /* The components that serve, separated by spaces. */ -}}
{{- define "image-backend.serving" -}}
{{ ternary "standalone" "ingest publisher resizer" .Values.standalone }}
{{- end }}

{{- /* The component of an HTTP call: of ingest or of publisher. Takes a dict of `root` and `component`. */ -}}
{{- define "image-backend.answering" -}}
{{ ternary "standalone" .component .root.Values.standalone }}
{{- end }}

{{- /* ROUTE_PREFIX as the services understand it: empty, or with a slash before it and none behind. */ -}}
{{- define "image-backend.prefix" -}}
{{- with .Values.settings.ROUTE_PREFIX | default "" | trimAll "/" }}/{{ . }}{{ end -}}
{{- end }}

{{- /* "yes" where the setting is switched on, else nothing. Takes a dict of `root` and `name`. */ -}}
{{- define "image-backend.on" -}}
{{- if has (get .root.Values.settings .name | default "" | lower) (list "1" "true" "yes" "on") }}yes{{ end -}}
{{- end }}

{{- /* Peers of a network policy. Without any, Kubernetes would allow all of them. Takes a dict of `peers` and `name`. */ -}}
{{- define "image-backend.peers" -}}
{{- if not .peers }}{{ fail (printf "%s is empty: name who it is, or set networkPolicy.enabled=false" .name) }}{{ end -}}
{{ toYaml .peers }}
{{- end }}
