{{/* The prefix of every name: the release's name, with the chart's where it does not hold it. */}}
{{- define "overhand.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "overhand.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}

{{/* Labels that choose the pods of one role: (list $ "worker"). */}}
{{- define "overhand.selector" -}}
{{- $root := first . -}}
app.kubernetes.io/name: {{ default $root.Chart.Name $root.Values.nameOverride }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ last . }}
{{- end -}}

{{- define "overhand.labels" -}}
{{- $root := first . -}}
{{ include "overhand.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end -}}

{{/* The masters' addresses, host:port with commas between. */}}
{{- define "overhand.masters" -}}
{{- $service := printf "%s-master" (include "overhand.fullname" .) -}}
{{- $hosts := list -}}
{{- range $i := until (int .Values.master.replicas) -}}
{{- $hosts = append $hosts (printf "%s-%d.%s.%s.svc.%s:%d" $service $i $service $.Release.Namespace $.Values.clusterDomain (int $.Values.master.port)) -}}
{{- end -}}
{{- join "," $hosts -}}
{{- end -}}

{{/* The master's configuration: the user's keys, below those that the chart decides. */}}
{{- define "overhand.masterConfig" -}}
{{- $ours := dict "listen" (dict "host" "0.0.0.0" "port" (int .Values.master.port)) -}}
{{- toYaml (mergeOverwrite (deepCopy .Values.master.config) $ours) -}}
{{- end -}}

{{/* The worker's. Data lie one level below the mount, where file systems keep no folders of their own. */}}
{{- define "overhand.workerConfig" -}}
{{- $directories := list -}}
{{- range .Values.worker.disks -}}
{{- $directories = append $directories (printf "/data/%s/overhand" .name) -}}
{{- end -}}
{{- $ours := dict
    "listen" (dict "host" "0.0.0.0" "port" (int .Values.worker.port))
    "masters" (splitList "," (include "overhand.masters" .))
    "disk" (dict "directories" $directories)
    "shutdown" (dict "timeout" (printf "%ds" (int .Values.worker.flushSeconds))) -}}
{{- if .Values.worker.zone -}}
{{- $ours = set $ours "zone" .Values.worker.zone -}}
{{- end -}}
{{- toYaml (mergeOverwrite (deepCopy .Values.worker.config) $ours) -}}
{{- end -}}

{{/* Where pods may run: (list $ "worker" .Values.worker). */}}
{{- define "overhand.placement" -}}
{{- $root := index . 0 -}}
{{- $role := index . 1 -}}
{{- $values := index . 2 -}}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
affinity:
  {{- if $values.affinity }}
  {{- toYaml $values.affinity | nindent 2 }}
  {{- else }}
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "overhand.selector" (list $root $role) | nindent 14 }}
  {{- end }}
{{- end -}}

{{- define "overhand.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}
