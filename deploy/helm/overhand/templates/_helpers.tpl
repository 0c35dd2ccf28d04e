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

{{/* The roles that this release runs, with a blank between. */}}
{{- define "overhand.roles" -}}
{{ if not .Values.externalMasters }}master {{ end }}worker
{{- end -}}

{{- define "overhand.serviceAccount" -}}
{{- $account := .Values.serviceAccount -}}
{{ default (ternary (include "overhand.fullname" .) "default" $account.create) $account.name }}
{{- end -}}

{{/* The masters' addresses, host:port with commas between. */}}
{{- define "overhand.masters" -}}
{{- $service := printf "%s-master" (include "overhand.fullname" .) -}}
{{- $hosts := .Values.externalMasters -}}
{{- if not $hosts -}}
{{- range $i := until (int .Values.master.replicas) -}}
{{- $hosts = append $hosts (printf "%s-%d.%s.%s.svc.%s:%d" $service $i $service $.Release.Namespace $.Values.clusterDomain (int $.Values.master.port)) -}}
{{- end -}}
{{- end -}}
{{- join "," $hosts -}}
{{- end -}}

{{/* "on" when a stopped worker moves its data to others first, else "off". */}}
{{- define "overhand.drain" -}}
{{- $drain := or (eq .Values.worker.drainOnStop "always") .Values.autoscaling.enabled -}}
{{- if eq .Values.worker.drainOnStop "auto" -}}
{{- range .Values.worker.disks -}}
{{- if or (hasKey . "emptyDir") (hasKey . "ephemeral") }}{{ $drain = true }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (eq .Values.worker.drainOnStop "never") -}}
{{- fail "autoscaling takes workers away for good: worker.drainOnStop must not be never" -}}
{{- end -}}
{{ ternary "on" "off" $drain }}
{{- end -}}

{{/* The master's configuration: the user's keys, below those that the chart decides. A master that comes back has
     another address, where workers find it only when they have given up the former one, up to seven seconds later;
     until all have, it would tell readers that data is lost. */}}
{{- define "overhand.masterConfig" -}}
{{- $defaults := dict "ready_after" "12s" -}}
{{- $ours := dict
    "listen" (dict "host" .Values.listenHost "port" (int .Values.master.port))
    "http" (dict "enabled" "on" "port" (int .Values.master.httpPort)) -}}
{{- toYaml (mergeOverwrite $defaults (deepCopy .Values.master.config) $ours) -}}
{{- end -}}

{{/* The worker's. */}}
{{- define "overhand.workerConfig" -}}
{{- $ours := dict
    "listen" (dict "host" .Values.listenHost "port" (int .Values.worker.port))
    "http" (dict "enabled" "on" "port" (int .Values.worker.httpPort))
    "masters" (splitList "," (include "overhand.masters" .))
    "shutdown" (dict
        "timeout" (printf "%ds" (int .Values.worker.shutdownSeconds))
        "drain" (include "overhand.drain" .)) -}}
{{- if .Values.worker.zone.value -}}
{{- $ours = set $ours "zone" .Values.worker.zone.value -}}
{{- end -}}
{{- toYaml (mergeOverwrite (deepCopy .Values.worker.config) $ours) -}}
{{- end -}}

{{/* The worker's directories. On a node's own directory several workers may meet, one after the other or at
     once, and none takes what belongs to another: there each has one of its name. The others have one level
     below the mount, where file systems keep no folders of their own. */}}
{{- define "overhand.directories" -}}
{{- $directories := list -}}
{{- $names := list -}}
{{- range .Values.worker.disks -}}
{{- if has .name $names }}{{ fail (printf "worker.disks: two are called %s" .name) }}{{ end -}}
{{- $names = append $names .name -}}
{{- $directories = append $directories (printf "/data/%s/%s" .name (hasKey . "hostPath" | ternary "$(OVERHAND_WORKER_ID)" "overhand")) -}}
{{- end -}}
{{- join "," $directories -}}
{{- end -}}
