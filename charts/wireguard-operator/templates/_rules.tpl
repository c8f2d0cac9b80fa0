{{/*
What the controller may do in a namespace that it serves: the same rules in a ClusterRole (all namespaces) and in a Role
in each of watchNamespaces.
*/}}
{{- define "wireguard-operator.rules" -}}
# The specifications. patch: the finalizer of a server that has peers.
- apiGroups: [wireguard.dotmac.io]
  resources: [wireguardservers]
  verbs: [get, list, watch, patch]
# A peer itself is never changed. get: is the holder of an address still there?
- apiGroups: [wireguard.dotmac.io]
  resources: [wireguardpeers]
  verbs: [get, list, watch]
# What people read: conditions, addresses, counters.
- apiGroups: [wireguard.dotmac.io]
  resources: [wireguardservers/status, wireguardpeers/status]
  verbs: [patch]
# Addresses, written with compare-and-swap. The garbage collector deletes blocks with their server.
- apiGroups: [wireguard.dotmac.io]
  resources: [wireguardaddressblocks]
  verbs: [get, list, create, update]
# Keys, wg0.conf, certificates and boot snapshots: names follow from servers and peers, so they cannot be listed here.
# get: also of the Secrets that people name in privateKeySecretRef, and of hosts' tokens. delete: left over from an object
# of the same name, and a token that is used.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update, delete]
# What happened to servers and peers, for kubectl describe. get, patch: the same news again counts up.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, get, patch]
# What carries server pods (dataPlane.type Pod), here and below: watch, since drift is repaired; create and patch, for
# server-side apply. The garbage collector deletes them with their server.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch]
# Where subscribers and the controller reach them.
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch]
# Which of a server's pods serves (dataPlane.replicas): watch, since it has to be noticed at once when one goes; patch, for
# the labels by which the Service selects one of them.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch]
# A node that is drained waits until another pod serves.
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
# Nobody but the controller talks to an agent.
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch]
{{- end -}}
