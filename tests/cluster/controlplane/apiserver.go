package main

import (
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

const apiserverName = "kube-apiserver"

// runAPIServer is kube-apiserver itself: its own command, with its own flags.
func runAPIServer(args []string) int {
	command := app.NewAPIServerCommand()
	command.SetArgs(args)
	return cli.Run(command)
}

// apiserverFlags gives the flags of kube-apiserver as kubeadm sets them, with these differences: there is one loopback
// address and no kubelet, so nothing reconciles the endpoints of `default/kubernetes`, and no client is rate-limited
// harder for running a test. Flags that come later win where a flag takes one value.
func (s *supervisor) apiserverFlags() []string {
	flags := []string{
		"--etcd-servers=http://" + s.etcdPort.address(),
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		"--secure-port=" + s.apiserverPort.number(),
		"--permit-port-sharing=true",
		"--endpoint-reconciler-type=none",
		"--tls-cert-file=" + s.file("pki/apiserver.crt"),
		"--tls-private-key-file=" + s.file("pki/apiserver.key"),
		"--client-ca-file=" + s.file("pki/ca.crt"),
		"--service-account-issuer=" + issuer,
		"--service-account-key-file=" + s.file("pki/sa.pub"),
		"--service-account-signing-key-file=" + s.file("pki/sa.key"),
		"--service-cluster-ip-range=" + s.services + ".0/24",
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		// Without it a stop waits a minute for the watches of kube-controller-manager; with it they are told to go.
		"--shutdown-watch-termination-grace-period=5s",
		"--profiling=false",
	}
	if s.audit {
		flags = append(flags,
			"--audit-policy-file="+s.file("audit-policy.yaml"),
			"--audit-log-path="+s.file("audit.log"),
			// An event is in the file before its answer is at the client: a test can read it at once.
			"--audit-log-mode=blocking",
		)
	}
	return append(flags, s.apiserverExtra...)
}

// auditPolicy records whole objects where that is harmless, because the patch of a mutating webhook is in the
// annotations only from level Request on, and metadata alone where an object may hold a credential.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  verbs: [get, list, watch]
- level: None
  resources: [{group: "", resources: [events]}, {group: events.k8s.io}, {group: coordination.k8s.io}]
- level: Metadata
  resources:
  - {group: "", resources: [secrets, configmaps, serviceaccounts/token]}
  - {group: authentication.k8s.io}
  - {group: certificates.k8s.io}
- level: RequestResponse
`
