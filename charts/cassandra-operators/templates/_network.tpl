{{- define "operators.service" -}}
# Headless: each replica is scraped by itself.
apiVersion: v1
kind: Service
metadata:
  {{- include "operators.metadata" . | nindent 2 }}
spec:
  clusterIP: None
  # A replica that is not ready says why.
  publishNotReadyAddresses: true
  selector:
    {{- include "operators.selector" . | nindent 4 }}
  ports:
    - name: http
      port: 8080
      targetPort: http
{{- with .root.Values.metrics.serviceMonitor }}
{{- if .create }}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  {{- include "operators.metadata" $ | nindent 2 }}
  {{- with .labels }}
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  # Metrics have a label namespace of their own, which is that of the Cassandra.
  selector:
    matchLabels:
      {{- include "operators.selector" $ | nindent 6 }}
  endpoints:
    - port: http
      honorLabels: true
      interval: {{ .interval }}
{{- end }}
{{- end }}
{{- end }}

{{- /* In: probes and metrics. Out: names, the API server, and the nodes of Cassandra. */ -}}
{{- define "operators.networkPolicy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "operators.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "operators.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    - ports: [{port: http}]
      {{- with .root.Values.networkPolicy.metricsFrom }}
      from:
        {{- toYaml . | nindent 8 }}
        # `helm test`
        - podSelector:
            matchLabels:
              {{- include "operators.selector" (dict "root" $.root "component" "test") | nindent 14 }}
      {{- end }}
  egress:
    - ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
    - ports:
        {{- range .root.Values.networkPolicy.apiServerPorts }}
        - port: {{ . }}
        {{- end }}
    - ports: [{port: 9042}]
      to:
        - podSelector:
            matchLabels: {app.kubernetes.io/name: cassandras.kubedb.com}
          namespaceSelector:
            {{- with .root.Values.watchNamespaces }}
            matchExpressions:
              - key: kubernetes.io/metadata.name
                operator: In
                values: {{ toJson . }}
            {{- else }} {}
            {{- end }}
{{- end }}
