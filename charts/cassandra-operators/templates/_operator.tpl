{{- /*
All objects of one operator. Takes root, component, own (its part of the values), rules as YAML (`cluster` for cluster-scoped
kinds, `namespaced` for the others), and env as YAML.
*/ -}}
{{- define "operators.operator" -}}
{{- $_ := include "operators.fill" . }}
{{- include "operators.rbac" . }}
---
{{ include "operators.deployment" . }}
---
{{ include "operators.service" . }}
{{- if and (gt (int .values.replicas) 1) .values.podDisruptionBudget.create }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "operators.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "operators.selector" . | nindent 6 }}
{{- end }}
{{- if .root.Values.networkPolicy.create }}
---
{{ include "operators.networkPolicy" . }}
{{- end }}
{{- end }}

{{- /* Sets `values` to those of both operators, under those of `own`: a key there replaces the whole key. */ -}}
{{- define "operators.fill" -}}
{{- $values := dict }}
{{- range $each := list .root.Values.operators .own }}
{{- range $key, $value := $each }}
{{- $_ := set $values $key $value }}
{{- end }}
{{- end }}
{{- $_ := set . "values" $values }}
{{- end }}

{{- define "operators.metadata" -}}
name: {{ include "operators.name" . }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "operators.labels" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .component }}
{{- end }}
