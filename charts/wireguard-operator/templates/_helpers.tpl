{{/* The name of all objects. */}}
{{- define "wireguard-operator.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that select the controller's pods; they must never change. */}}
{{- define "wireguard-operator.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controller
{{- end -}}

{{/* Labels of every object. */}}
{{- define "wireguard-operator.labels" -}}
{{ include "wireguard-operator.selector" . }}
app.kubernetes.io/part-of: wireguard-operator
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "wireguard-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "wireguard-operator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: name the ServiceAccount to use, or set serviceAccount.create: true" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The operator's image in full. */}}
{{- define "wireguard-operator.image" -}}
{{- with .Values.image -}}
{{- if .registry }}{{ .registry }}/{{ end }}{{ .repository -}}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ default $.Chart.AppVersion .tag }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* Who the bindings are for. */}}
{{- define "wireguard-operator.subjects" -}}
- kind: ServiceAccount
  name: {{ include "wireguard-operator.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* Labels that select the gateway's pods; they must never change. */}}
{{- define "wireguard-operator.gatewaySelector" -}}
{{ include "wireguard-operator.selector" . | replace "component: controller" "component: gateway" }}
{{- end -}}

{{/* Labels of the gateway's objects. */}}
{{- define "wireguard-operator.gatewayLabels" -}}
{{ include "wireguard-operator.labels" . | replace "component: controller" "component: gateway" }}
{{- end -}}

{{- define "wireguard-operator.gatewayName" -}}
{{ include "wireguard-operator.fullname" . }}-gateway
{{- end -}}

{{/* The namespaces that the gateway serves, as JSON; none: all that admit it. */}}
{{- define "wireguard-operator.gatewayTenants" -}}
{{- range .Values.gateway.tenants }}
{{- if and $.Values.watchNamespaces (not (has . $.Values.watchNamespaces)) }}
{{- fail (printf "gateway.tenants: no controller serves %s, which is not among watchNamespaces" .) }}
{{- end }}
{{- end }}
{{- default .Values.watchNamespaces .Values.gateway.tenants | toJson -}}
{{- end -}}

{{/* Where the Secrets behind subscribers' links are. */}}
{{- define "wireguard-operator.ticketNamespace" -}}
{{- $name := default (printf "%s-tickets" .Release.Namespace) .Values.gateway.tickets.namespace -}}
{{- if eq $name .Release.Namespace }}
{{- fail "gateway.tickets.namespace: must not be that of the release, where the operator's CA is" }}
{{- end }}
{{- $name -}}
{{- end -}}

{{- define "wireguard-operator.gatewaySubjects" -}}
- kind: ServiceAccount
  name: {{ include "wireguard-operator.gatewayName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
