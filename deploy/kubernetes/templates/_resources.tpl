{{- /* How many decoding processes a component has: docs/settings.md has the table. Without a broker, commands render
       themselves. Takes `root` and `component`. */ -}}
{{- define "image-backend.decoders" -}}
{{- $ingest := ternary 3 2 (eq "yes" (include "image-backend.on" (dict "root" .root "name" "AUTO_ORIENT_ORIGINAL"))) -}}
{{- $resizer := mul 2 (include "image-backend.workers" .root) -}}
{{- $all := dict "ingest" $ingest "resizer" $resizer "publisher" 1 "standalone" (add $ingest $resizer 1) "migrate" 2
      "resize" 1 "clean" 0 "reconcile" 0 -}}
{{- get $all (ternary "standalone" .component .root.Values.standalone) -}}
{{- end }}

{{- define "image-backend.workers" -}}
{{ .Values.settings.RESIZER_WORKERS | default "3" }}
{{- end }}

{{- /* The limit is what all decoding processes may take at once: each an image, and as much for its answer. The request
       is what photos take. A limit of CPU time would slow down what nobody else needs. */ -}}
{{- define "image-backend.resources" -}}
{{- $decoders := include "image-backend.decoders" . | int -}}
{{- $imageMemory := .root.Values.settings.IMAGE_MEMORY_MB | default "1024" | int -}}
{{- $rendering := has .component (list "resizer" "standalone") -}}
requests:
  cpu: {{ ternary (max 1 (sub (include "image-backend.workers" .root | int) 1)) "250m" $rendering }}
  memory: {{ add 512 (mul 256 $decoders) }}Mi
limits:
  memory: {{ add 512 (mul 2 $decoders $imageMemory) }}Mi
{{- end }}
