{{/* What the pods of both roles have in common. Each takes (list $ "worker"). */}}

{{- define "overhand.podMetadata" -}}
{{- $root := first . -}}
{{- $role := last . -}}
{{- $values := index $root.Values $role -}}
labels:
  {{- include "overhand.labels" . | nindent 2 }}
  {{- with $values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  checksum/config: {{ include (printf "overhand.%sConfig" $role) $root | sha256sum }}
  {{- if eq $root.Values.monitoring.scrape "annotations" }}
  prometheus.io/scrape: "true"
  prometheus.io/path: /metrics
  prometheus.io/port: {{ $values.httpPort | quote }}
  {{- end }}
  {{- with $values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Everything of the pod's spec that is not about its containers. */}}
{{- define "overhand.podSpec" -}}
{{- $root := first . -}}
{{- $role := last . -}}
{{- $values := index $root.Values $role -}}
serviceAccountName: {{ include "overhand.serviceAccount" $root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  {{- toYaml $root.Values.podSecurityContext | nindent 2 }}
  seccompProfile:
    {{- toYaml (default (dict "type" "RuntimeDefault") $values.seccompProfile) | nindent 4 }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $keys := dict "zone" "topology.kubernetes.io/zone" "host" "kubernetes.io/hostname" }}
{{- $spread := list }}
{{- range $what := list "zone" "host" }}
{{- if ne (index $values.spread $what) "None" }}
{{- $selector := dict "matchLabels" (include "overhand.selector" (list $root $role) | fromYaml) }}
{{- $spread = append $spread (dict "maxSkew" 1 "topologyKey" (index $keys $what) "whenUnsatisfiable" (index $values.spread $what) "labelSelector" $selector) }}
{{- end }}
{{- end }}
{{- with $spread }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The process lives: /healthz. It can be given work: /readyz. Start-up may take as long as reading the
     disks does after a crash. */}}
{{- define "overhand.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 1
  timeoutSeconds: 2
  failureThreshold: 600
livenessProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 3
{{- end -}}

{{- define "overhand.ports" -}}
{{- $values := index (first .).Values (last .) -}}
ports:
  - {name: rpc, containerPort: {{ $values.port }}}
  - {name: http, containerPort: {{ $values.httpPort }}}
{{- end -}}
