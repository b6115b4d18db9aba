{{- /* Name of what belongs to one operator: <release>-<component>. The component is `provisioner` or `ops-manager`. */ -}}
{{- define "operators.name" -}}
{{ .root.Release.Name | trunc 50 | trimSuffix "-" }}-{{ .component }}
{{- end }}

{{- define "operators.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "operators.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- /* A digest names one content, so it wins over the tag. */ -}}
{{- define "operators.image" -}}
{{ .root.Values.image.registry }}/{{ .values.image.repository }}
{{- if .values.image.digest }}@{{ .values.image.digest }}{{ else }}:{{ .values.image.tag | default .root.Values.image.tag | default .root.Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "operators.serviceAccount" -}}
{{ .values.serviceAccount.name | default (include "operators.name" .) }}
{{- end }}

{{- /* The ops-manager as the API server knows it, for the admission policies. */ -}}
{{- define "operators.opsManagerUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "operators.serviceAccount" (dict "root" . "component" "ops-manager" "values" .Values.opsManager) }}
{{- end }}
