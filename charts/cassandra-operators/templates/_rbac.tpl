{{- /*
What an operator may do. With watchNamespaces, rights on namespaced kinds are Roles in those namespaces, and all that is left
for the whole cluster is to read the cluster-scoped kinds.
*/ -}}
{{- define "operators.rbac" -}}
{{- $name := include "operators.name" . }}
{{- $operator := . }}
{{- if .values.serviceAccount.create }}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "operators.serviceAccount" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "operators.labels" .root | nindent 4 }}
  {{- with .values.serviceAccount.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{ include "operators.grant" (dict "operator" . "name" (printf "%s-catalog" $name) "namespace" "" "rules" .cluster) }}
{{- range .root.Values.watchNamespaces }}
{{- $rules := printf "%s\n%s" $operator.namespaced (include "operators.ownNamespace" .) }}
{{ include "operators.grant" (dict "operator" $operator "name" $name "namespace" . "rules" $rules) }}
{{- else }}
{{ include "operators.grant" (dict "operator" . "name" $name "namespace" "" "rules" .namespaced) }}
{{- end }}
{{ include "operators.grant" (dict
  "operator" . "name" (printf "%s-leader" $name) "namespace" .root.Release.Namespace
  "rules" (include "operators.leaderRules" .)
) }}
{{- end }}

{{- define "operators.leaderRules" -}}
# A create has no name yet that it could be bound to.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ .component }}]
  verbs: [get, update]
{{- end }}

{{- define "operators.ownNamespace" -}}
# To tell a namespace that is missing from one that is empty.
- apiGroups: [""]
  resources: [namespaces]
  resourceNames: [{{ . | quote }}]
  verbs: [get]
{{- end }}

{{- /* A role and who has it: operator, name, namespace (empty: the whole cluster), rules as YAML. */ -}}
{{- define "operators.grant" -}}
{{- $kind := ternary "Role" "ClusterRole" (ne .namespace "") -}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}
metadata:
  {{- include "operators.grantMetadata" . | nindent 2 }}
rules:
  {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata:
  {{- include "operators.grantMetadata" . | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ include "operators.serviceAccount" .operator }}
    namespace: {{ .operator.root.Release.Namespace }}
{{- end }}

{{- define "operators.grantMetadata" -}}
name: {{ .name }}
{{- with .namespace }}
namespace: {{ . }}
{{- end }}
labels:
  {{- include "operators.labels" .operator.root | nindent 2 }}
{{- end }}
